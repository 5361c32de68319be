package server

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/weft-dev/weft"
)

// logFile is the file that a sealed log consists of.
const logFile = "log"

// getLog sends what a Run has printed: while it runs, what there is so far or, to
// follow, what comes; afterwards all of it.
func (s *Server) getLog(w http.ResponseWriter, r *http.Request) error {
	follow := r.URL.Query().Has("follow")
	open := func() (io.ReadCloser, error) { return s.openLog(r, follow) }
	if number := r.URL.Query().Get("attempt"); number != "" {
		open = func() (io.ReadCloser, error) { return s.openPastLog(r, number, &follow) }
	}
	log, err := open()
	if err != nil {
		return err
	}
	defer log.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	if !follow {
		_, err := io.Copy(w, log)
		return err
	}
	// A read that waits for more ends with the request, or when the server is to end.
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-r.Context().Done():
		case <-s.closing:
		case <-stop:
			return
		}
		log.Close()
	}()
	return s.copyLive(w, r, log)
}

// copyLive copies what comes as it comes. A server that ends cuts the stream, so that
// nobody takes it for the end of the log.
func (s *Server) copyLive(w http.ResponseWriter, r *http.Request, log io.Reader) error {
	rc := http.NewResponseController(w)
	if err := rc.Flush(); err != nil {
		return err
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := log.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
			if err := rc.Flush(); err != nil {
				return err
			}
		}
		select {
		case <-s.closing:
			return weft.Errorf(weft.Unavailable, "the server is ending")
		default:
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// openLog finds the log wherever it is just now. Between two looks it may move: from
// the container to the content store, which changes the Run.
func (s *Server) openLog(r *http.Request, follow bool) (io.ReadCloser, error) {
	ctx := r.Context()
	changed, stop := s.Store.Changed()
	defer stop()
	for {
		v, err := s.run(ctx, r.PathValue("id"))
		if err != nil {
			return nil, err
		}
		log, err := s.openLogNow(ctx, v, follow)
		if weft.KindOf(err) != weft.NotFound || v.Run.Status.Ended() || v.Run.Log.IsZero() {
			return log, err
		}
		live := v.Run.Status == weft.Starting || v.Run.Status == weft.Running
		if live && !follow {
			return io.NopCloser(http.NoBody), nil // nothing is written so far
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.closing:
			return nil, weft.Errorf(weft.Unavailable, "the server is ending")
		}
	}
}

func (s *Server) openLogNow(ctx context.Context, v weft.RunView, follow bool) (io.ReadCloser, error) {
	run := v.Run
	switch {
	case v.Plan.Log == nil:
		return nil, weft.Errorf(weft.NotFound, "run %s keeps no log", run.ID).WithAdvice("plans that have log: keep it")
	case run.Log.IsZero() || run.Status == weft.Invalidated:
		return nil, weft.Errorf(weft.NotFound, "the log of run %s was discarded", run.ID)
	case slices.Contains([]weft.Status{weft.Deactivated, weft.Waiting, weft.Ready}, run.Status):
		return nil, weft.Errorf(weft.Unavailable, "run %s is %s; it has no log yet", run.ID, run.Status).WithAdvice("try again when it runs")
	case run.Status.Ended():
		return s.openSealedLog(ctx, run)
	}
	return s.Logs.OpenLog(ctx, run, follow)
}

// openPastLog opens the log of an attempt that another took the place of; the present one
// may be asked for by its number too.
func (s *Server) openPastLog(r *http.Request, number string, follow *bool) (io.ReadCloser, error) {
	v, err := s.run(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	for _, p := range v.Past {
		if strconv.FormatInt(p.Number, 10) == number {
			*follow = false
			return s.openLogIn(r.Context(), p.LogTree, weft.Errorf(weft.NotFound, "attempt %s of run %s left no log", number, v.Run.ID))
		}
	}
	if strconv.FormatInt(v.Run.Attempt, 10) == number {
		return s.openLog(r, *follow)
	}
	return nil, weft.Errorf(weft.NotFound, "run %s has no attempt %q", v.Run.ID, number).WithAdvice("weft run show lists its attempts")
}

func (s *Server) openSealedLog(ctx context.Context, run weft.Run) (io.ReadCloser, error) {
	d, err := s.Store.Data(ctx, run.Project, run.Log)
	if err != nil {
		return nil, err
	}
	if !d.Data.Purged.IsZero() {
		return nil, weft.Errorf(weft.NotFound, "the log of run %s was purged", run.ID)
	}
	return s.openLogIn(ctx, d.Data.Tree, weft.Errorf(weft.NotFound, "run %s left no log", run.ID))
}

// openLogIn opens the log in a tree; the error is missing when there is none.
func (s *Server) openLogIn(ctx context.Context, tree weft.Digest, missing *weft.Error) (io.ReadCloser, error) {
	if tree.IsZero() {
		return nil, missing
	}
	m, err := s.trees.read(ctx, tree)
	if err != nil {
		return nil, err
	}
	e, ok := m.Find(logFile)
	if !ok || e.Kind != weft.File {
		return nil, missing
	}
	f, _, err := s.Content.OpenBlob(ctx, e.Digest)
	if err != nil {
		return nil, err
	}
	return f, nil
}
