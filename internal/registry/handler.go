package registry

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/weft-dev/weft"
)

// Authorise decides whether whoever makes the request may do verb to images, and in
// which project. Unauthenticated makes the client send its token as the password of
// Basic authentication.
type Authorise func(r *http.Request, verb weft.Verb) (weft.ProjectID, error)

// Config is what a Handler is made of.
type Config struct {
	Catalog   Catalog
	Content   Content
	Authorise Authorise
	Log       *slog.Logger
}

// A Handler answers the distribution protocol under /v2/. It is safe for concurrent
// use.
type Handler struct {
	catalog   Catalog
	content   Content
	authorise Authorise
	log       *slog.Logger
	uploads   *uploads
}

// NewHandler returns a Handler. Close ends the uploads that are under way.
func NewHandler(c Config) *Handler {
	return &Handler{c.Catalog, c.Content, c.Authorise, c.Log, newUploads()}
}

// Close abandons all uploads under way. No request may be under way or follow.
func (h *Handler) Close(ctx context.Context) {
	h.expire(ctx, func(*upload) bool { return true })
}

// Expire abandons uploads of which nothing was heard for long. Call it every few
// minutes.
func (h *Handler) Expire(ctx context.Context, now time.Time) {
	h.expire(ctx, func(u *upload) bool { return now.Sub(u.touched) >= uploadIdle || now.Sub(u.began) >= uploadLife })
}

func (h *Handler) expire(ctx context.Context, over func(*upload) bool) {
	for _, u := range h.uploads.expire(over) {
		h.release(ctx, u)
	}
}

// A call is one request, parsed and authorised.
type call struct {
	*Handler
	w       http.ResponseWriter
	r       *http.Request
	ctx     context.Context
	project weft.ProjectID
	route
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err := h.serve(w, r); err != nil {
		answerError(w, r, h.log, err)
	}
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) error {
	verb := verbOf(r)
	project, err := h.authorise(r, verb)
	if err != nil {
		return err
	}
	rt, err := parseRoute(r)
	if err != nil {
		return err
	}
	c := &call{h, w, r, r.Context(), project, rt}
	actions := c.actions()
	act := actions[r.Method]
	if act == nil {
		w.Header().Set("Allow", strings.Join(slices.Sorted(maps.Keys(actions)), ", "))
		return fail(http.StatusMethodNotAllowed, unsupported, r.Method+" is not supported here")
	}
	return act()
}

// verbOf says which right a request takes. Giving up one's own upload is part of
// creating, not of deleting.
func verbOf(r *http.Request) weft.Verb {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return weft.Read
	case http.MethodDelete:
		if rt, err := parseRoute(r); err != nil || rt.part != uploadPart {
			return weft.Delete
		}
	}
	return weft.Create
}

// actions returns what may be done to the thing that the path names.
func (c *call) actions() map[string]func() error {
	switch c.part {
	case base:
		return read(c.getBase)
	case catalogPart:
		return read(c.listRepositories)
	case tagsPart:
		return read(c.listTags)
	case referrersPart:
		return read(c.listReferrers)
	case blobPart:
		a := read(c.getBlob)
		a[http.MethodDelete] = c.deleteBlob
		return a
	case manifestPart:
		a := read(c.getManifest)
		a[http.MethodPut], a[http.MethodDelete] = c.putManifest, c.deleteManifest
		return a
	case uploadsPart:
		return map[string]func() error{http.MethodPost: c.startUpload}
	case uploadPart:
		return map[string]func() error{
			http.MethodGet: c.uploadStatus, http.MethodHead: c.uploadStatus, http.MethodPatch: c.patchUpload,
			http.MethodPut: c.finishUpload, http.MethodDelete: c.cancelUpload,
		}
	}
	return nil
}

func read(get func() error) map[string]func() error {
	return map[string]func() error{http.MethodGet: get, http.MethodHead: get}
}

// getBase tells that this is a registry, and that the client may use it.
func (c *call) getBase() error {
	answerJSON(c.w, c.r, http.StatusOK, "application/json", struct{}{})
	return nil
}
