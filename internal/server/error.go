package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"syscall"

	"github.com/danielgtaylor/huma/v2"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// statusClientGone is what access logs show when nobody waited for the answer.
const statusClientGone = 499

// statusOf is the one table from kinds to HTTP statuses.
func statusOf(k weft.Kind) int {
	switch k {
	case weft.Invalid:
		return http.StatusBadRequest
	case weft.Unauthenticated:
		return http.StatusUnauthorized
	case weft.Forbidden:
		return http.StatusForbidden
	case weft.NotFound:
		return http.StatusNotFound
	case weft.Conflict:
		return http.StatusConflict
	case weft.TooLarge:
		return http.StatusRequestEntityTooLarge
	case weft.Unavailable:
		return http.StatusServiceUnavailable
	case weft.NoSpace:
		return http.StatusInsufficientStorage
	case weft.Canceled:
		return statusClientGone
	}
	return http.StatusInternalServerError
}

// wireError has a name of its own, as the method Error would be hidden by a field.
type wireError = api.Error

// failure is an error as it goes over the wire.
type failure struct {
	wireError
	status int
}

// Schema implements huma.SchemaProvider.
func (f failure) Schema(r huma.Registry) *huma.Schema { return schemaOf[api.Error](r) }

// GetStatus makes a failure what huma answers with.
func (f *failure) GetStatus() int { return f.status }

// fail turns an error into what the one who asked is told. An error of ours is
// logged, here and only here; he gets the id of the request to ask about.
func (s *Server) fail(ctx context.Context, err error) *failure {
	info := infoOf(ctx)
	kind := weft.KindOf(err)
	if kind == weft.Internal && isGone(ctx, err) {
		kind = weft.Canceled
	}
	f := &failure{wireError{Kind: api.ErrorKind(kind), RequestID: info.id}, statusOf(kind)}
	var e *weft.Error
	switch {
	case kind == weft.Internal:
		s.log.ErrorContext(ctx, "request failed", "request", info.id, "error", err)
		f.Message = "something went wrong in the server\nask its administrator to look for request " + info.id + " in its log"
	case errors.As(err, &e):
		f.Message, f.See = e.Message, e.See
		if e.Advice != "" {
			f.Message += "\n" + e.Advice
		}
	default:
		f.Message = "the request was given up"
	}
	info.failure = f.Message
	return f
}

// isGone reports whether err only says that nobody waits for the answer any more.
func isGone(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// answerError answers a request with an error.
func (s *Server) answerError(w http.ResponseWriter, r *http.Request, err error) {
	f := s.fail(r.Context(), err)
	if f.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="weft", charset="UTF-8"`)
	}
	writeJSON(w, f.status, f, s.log)
}

// writeJSON answers with a value. What cannot be written is the client's loss, whose
// connection has ended; it is logged for whoever debugs that.
func writeJSON(w http.ResponseWriter, status int, v any, log *slog.Logger) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		log.Debug("answer not written", "error", err)
	}
}

// humaError makes the answer for a request that huma itself refuses, as it cannot be
// read or decoded. All of those are the client's mistake: huma's 422, and its 500 for
// a body that broke off, become 400, as clients of Knitfab know it.
func humaError(ctx huma.Context, status int, message string, details ...error) huma.StatusError {
	kind := weft.Invalid
	switch status {
	case http.StatusUnprocessableEntity, http.StatusInternalServerError:
		status = http.StatusBadRequest
	case http.StatusRequestEntityTooLarge:
		kind = weft.TooLarge
	}
	var reasons []string
	for _, d := range details {
		var detail *huma.ErrorDetail
		switch {
		case errors.As(d, &detail):
			reasons = append(reasons, detail.Message)
		case d != nil:
			reasons = append(reasons, d.Error())
		}
	}
	if len(reasons) > 0 {
		message = strings.Join(reasons, "\n")
	}
	f := &failure{wireError{Message: message, Kind: api.ErrorKind(kind)}, status}
	if ctx != nil { // nil when huma looks for the type of errors
		f.RequestID = infoOf(ctx.Context()).id
	}
	return f
}

// huma knows no other way than these variables of its own to have its errors in another
// form, and lists that are never null. They are set once, to what depends on nothing.
func init() {
	huma.DefaultArrayNullable = false
	huma.NewErrorWithContext = humaError
	huma.NewError = func(status int, message string, details ...error) huma.StatusError {
		return humaError(nil, status, message, details...)
	}
}
