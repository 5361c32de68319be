package server

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

const (
	auditShown = 100  // entries of a list that names no limit
	auditMost  = 1000 // entries read at once
)

func (s *Server) auditRoutes() {
	query := []param{
		{name: "user", doc: "name: only what this user did"},
		{name: "action", doc: "only this action"},
		{name: "since", doc: "RFC 3339 with a zone: at or after"},
		{name: "until", doc: "RFC 3339 with a zone: before"},
		{name: "after", doc: "the seq of an entry: only those that follow it"},
	}
	more := "Of the whole system for administrators, unless the request names a project in X-Weft-Project; of that project for its managers."
	s.stream(streamed{
		route: route{method: http.MethodGet, path: "/api/audit", id: "list-audit", summary: "Read the latest of the audit log", more: more, verb: weft.Read, kind: "audit", of: s.auditOf},
		query: append([]param{{name: "limit", doc: "at most so many, 100 by default; with after the first ones, else the last ones"}}, query...),
		gives: "application/json", givesA: reflect.TypeFor[[]api.AuditEntry](),
	}, s.listAudit)
	s.stream(streamed{
		route: route{method: http.MethodGet, path: "/api/audit/export", id: "export-audit", summary: "Export the audit log, one entry a line", more: more, verb: weft.Read, kind: "audit", of: s.auditOf},
		query: query,
		gives: "application/x-ndjson",
	}, s.exportAudit)
}

// auditOf is the part of the log that a request is about.
func (s *Server) auditOf(r *http.Request, p weft.Principal) (weft.Object, error) {
	if p.Admin && p.Bound.IsZero() && r.Header.Get(api.ProjectHeader) == "" {
		return weft.Object{Kind: "audit"}, nil
	}
	return weft.Object{Kind: "audit", Project: p.Project}, nil
}

func (s *Server) auditQuery(r *http.Request) (weft.AuditQuery, error) {
	values := r.URL.Query()
	p := principal(r.Context())
	o, err := s.auditOf(r, p)
	if err != nil {
		return weft.AuditQuery{}, err
	}
	q := weft.AuditQuery{Project: o.Project, Action: values.Get("action")}
	if name := values.Get("user"); name != "" {
		u, err := s.Accounts.User(r.Context(), name)
		if id, err2 := weft.ParseID[weft.Principal](name); err2 == nil {
			u.ID, err = id, nil // of a user who is gone
		}
		if err != nil {
			return q, err
		}
		q.Who = u.ID
	}
	for name, at := range map[string]*time.Time{"since": &q.Since, "until": &q.Until} {
		if *at, err = timeParam(values, name); err != nil {
			return q, err
		}
	}
	n, err := numberParam(values, "after")
	q.After = n
	return q, err
}

func timeParam(values url.Values, name string) (time.Time, error) {
	text := values.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, weft.Errorf(weft.Invalid, "%s: %q is not a time like 2026-01-31T12:00:00+00:00", name, text)
	}
	return t, nil
}

func numberParam(values url.Values, name string) (int64, error) {
	text := values.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, weft.Errorf(weft.Invalid, "%s: %q is not a number", name, text)
	}
	return n, nil
}

func (s *Server) listAudit(w http.ResponseWriter, r *http.Request) error {
	q, err := s.auditQuery(r)
	if err != nil {
		return err
	}
	n, err := numberParam(r.URL.Query(), "limit")
	if err != nil {
		return err
	}
	if q.Limit = int(min(n, auditMost)); n == 0 {
		q.Limit = auditShown
	}
	q.Last = q.After == 0
	entries, err := s.Accounts.Audit(r.Context(), q)
	if err != nil {
		return err
	}
	names, err := s.projectNames(r.Context())
	if err != nil {
		return err
	}
	out := make([]api.AuditEntry, len(entries))
	for i, e := range entries {
		out[i] = wireAudit(e, names)
	}
	writeJSON(w, http.StatusOK, out, s.log)
	return nil
}

// exportAudit reads the log some entries at a time, so that neither its length nor a
// slow client matters to anybody else.
func (s *Server) exportAudit(w http.ResponseWriter, r *http.Request) error {
	q, err := s.auditQuery(r)
	if err != nil {
		return err
	}
	names, err := s.projectNames(r.Context())
	if err != nil {
		return err
	}
	q.Limit = auditMost
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for {
		entries, err := s.Accounts.Audit(r.Context(), q)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := enc.Encode(wireAudit(e, names)); err != nil {
				return err
			}
			q.After = e.Seq
		}
		if len(entries) < auditMost {
			return out.Flush()
		}
	}
}

func (s *Server) projectNames(ctx context.Context) (map[weft.ProjectID]string, error) {
	all, err := s.Accounts.Projects(ctx)
	names := make(map[weft.ProjectID]string, len(all))
	for _, p := range all {
		names[p.ID] = p.Name
	}
	return names, err
}

func wireAudit(e weft.Audit, projects map[weft.ProjectID]string) api.AuditEntry {
	w := api.AuditEntry{
		Seq: e.Seq, At: wireTime(e.At), User: e.Name, From: e.From, Action: e.Action, Kind: e.Kind, Project: projects[e.Project],
		Object: e.Object, Result: string(e.Result), Detail: e.Detail, RequestID: e.Request,
	}
	if !e.Who.IsZero() {
		w.UserID = e.Who.String()
	}
	if !e.Token.IsZero() {
		w.TokenID = e.Token.String()
	}
	if !e.Project.IsZero() {
		w.ProjectID = e.Project.String()
	}
	return w
}

// noteAudit adds the entry of a request to the audit log that no change has added: it
// failed, or it was denied, or what it did is kept elsewhere. A client that went away
// does not keep it from being written.
func (s *Server) noteAudit(ctx context.Context, i *info, status int) {
	n := &i.audit
	if n.Action == "" || n.Written || n.Who.IsZero() || s.Accounts == nil {
		return
	}
	switch {
	case status < http.StatusBadRequest:
		if i.partly {
			return
		}
		n.Result = weft.AuditDone
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		n.Result = weft.AuditDenied
	default:
		n.Result = weft.AuditFailed
	}
	if n.Result != weft.AuditDone {
		n.Detail = strconv.Itoa(status) + " " + http.StatusText(status)
		if i.failure != "" {
			n.Detail, _, _ = strings.Cut(i.failure, "\n")
		}
	}
	if err := s.Accounts.AddAudit(context.WithoutCancel(ctx), n.Audit); err != nil {
		s.log.ErrorContext(ctx, "an entry of the audit log is lost", "request", i.id, "action", n.Action, "error", err)
	}
}

// noteRegistry notes what a request to the embedded registry does: a push of an image
// ends with its manifest, and what comes before is a part of it.
func noteRegistry(i *info, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v2/")
	i.partly = !strings.Contains(path, "/manifests/")
	i.audit.Object = path
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodDelete:
		i.audit.Action = "delete-image"
	default:
		i.audit.Action = "push-image"
	}
}
