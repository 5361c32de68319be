package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/weft-dev/weft"
)

// bodyStall is how long a request's body may stand still.
const bodyStall = 2 * time.Minute

// An info collects what the log and the metrics tell about a request. It holds
// nothing secret: no headers, no query.
type info struct {
	id        string
	route     string // as declared; "" when there is none
	principal string
	audit     weft.AuditNote
	partly    bool   // succeeding is nothing for the audit log
	failure   string // what the client was told
}

type infoKey struct{}

// infoOf returns the info of the request that ctx belongs to; one to throw away for
// any other ctx.
func infoOf(ctx context.Context) *info {
	if i, ok := ctx.Value(infoKey{}).(*info); ok {
		return i
	}
	return &info{}
}

// observed gives each request an id, logs and counts it, and turns a panic of a
// handler into an answer.
func (s *Server) observed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		i := &info{id: uuid.NewString()}
		w.Header().Set("X-Request-Id", i.id)
		rec := &recorder{ResponseWriter: w}
		i.audit.Request, i.audit.From = i.id, addressOf(r)
		r = r.WithContext(weft.WithAudit(context.WithValue(r.Context(), infoKey{}, i), &i.audit))
		r.Body = &watchedBody{ReadCloser: r.Body, rc: http.NewResponseController(w), stall: s.stall}
		done := s.metrics.begin()
		defer func() {
			p := recover()
			if p != nil && p != http.ErrAbortHandler && rec.status == 0 {
				s.answerError(rec, r, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
				p = nil
			}
			took := time.Since(start)
			done(i.route, r.Method, rec.code(), took)
			s.noteAudit(r.Context(), i, rec.code())
			s.log.LogAttrs(r.Context(), levelOf(rec.code(), p != nil && r.Context().Err() == nil), "request", slog.String("request", i.id), slog.String("method", r.Method),
				slog.String("path", r.URL.Path), slog.Int("status", rec.code()), slog.Int64("bytes", rec.bytes),
				slog.Duration("took", took), slog.String("principal", i.principal), slog.Bool("cut", p != nil))
			if p != nil {
				panic(http.ErrAbortHandler)
			}
		}()
		next.ServeHTTP(rec, r)
	})
}

// levelOf is how loud a request is in the log: what went as it should, or was cut off by
// the client, is for those who look for something.
func levelOf(status int, cut bool) slog.Level {
	if status >= http.StatusInternalServerError || cut {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// oneSlash cuts off one trailing slash of paths of the API: both forms are the same.
func oneSlash(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") && strings.HasSuffix(r.URL.Path, "/") {
			u := *r.URL
			u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/"), strings.TrimSuffix(u.RawPath, "/")
			r2 := *r
			r2.URL = &u
			r = &r2
		}
		next.ServeHTTP(w, r)
	})
}

// A recorder notes what was answered.
type recorder struct {
	http.ResponseWriter
	status int // 0 before anything was written
	bytes  int64
}

// WriteHeader implements http.ResponseWriter.
func (rec *recorder) WriteHeader(status int) {
	if rec.status == 0 && status >= http.StatusOK { // 1xx are no answers yet
		rec.status = status
	}
	rec.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (rec *recorder) Write(p []byte) (int, error) {
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	n, err := rec.ResponseWriter.Write(p)
	rec.bytes += int64(n)
	return n, err
}

// ReadFrom keeps the way open for sendfile.
func (rec *recorder) ReadFrom(r io.Reader) (int64, error) {
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	n, err := io.Copy(rec.ResponseWriter, r)
	rec.bytes += n
	return n, err
}

// FlushError sends what there is, the header at least.
func (rec *recorder) FlushError() error {
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	return http.NewResponseController(rec.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController reach the connection.
func (rec *recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

// code is the status for the log; an answer without a header is 200.
func (rec *recorder) code() int {
	if rec.status == 0 {
		return http.StatusOK
	}
	return rec.status
}

// A watchedBody gives a body up that stands still: else everyone could hold
// connections, and the locks behind them, for ever.
type watchedBody struct {
	io.ReadCloser
	rc    *http.ResponseController
	stall time.Duration
	end   time.Time // reading ends then at the latest; zero: never
}

// Read implements io.Reader.
func (b *watchedBody) Read(p []byte) (int, error) {
	until := time.Now().Add(b.stall)
	if !b.end.IsZero() && b.end.Before(until) {
		until = b.end
	}
	b.deadline(until)
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) { // after a body that stalled, the server is not to wait for its rest before it answers
		b.deadline(time.Time{})
	}
	return n, b.explain(err)
}

// explain makes an error of a body that ends badly the client's own.
func (b *watchedBody) explain(err error) error {
	var timeout interface{ Timeout() bool }
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return err
	case errors.As(err, &timeout) && timeout.Timeout():
		return weft.Errorf(weft.Invalid, "nothing of the body came for %s", b.stall).WithAdvice("send it again")
	}
	return weft.Errorf(weft.Invalid, "the body broke off: %w", err).WithAdvice("send it again")
}

func (b *watchedBody) deadline(t time.Time) {
	_ = b.rc.SetReadDeadline(t) // in-process tests have connections without deadlines
}
