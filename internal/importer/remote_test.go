package importer_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/store/storetest"
)

func TestURL(t *testing.T) {
	each(t, func(h *harbour) {
		mux := http.NewServeMux()
		for name, text := range archives(h.t) {
			mux.HandleFunc("/"+name, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("ETag", `"v1"`)
				_, _ = io.WriteString(w, text)
			})
		}
		mux.HandleFunc("/table.csv", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Last-Modified", "Sun, 22 Nov 2026 00:00:00 GMT")
			_, _ = io.WriteString(w, "a,b")
		})
		mux.HandleFunc("/named", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Disposition", `attachment; filename="../../b.csv"`)
			_, _ = io.WriteString(w, "x")
		})
		mux.HandleFunc("/typed", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/zip")
			_, _ = io.WriteString(w, archives(h.t)["x.zip"])
		})
		mux.Handle("/moved", http.RedirectHandler("/table.csv", http.StatusFound))
		mux.HandleFunc("/broken.tar", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100000")
			_, _ = io.WriteString(w, archives(h.t)["x.tar"][:600])
		})
		mux.HandleFunc("/broken", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100000")
			_, _ = io.WriteString(w, "some")
		})
		for name, text := range tricks(h.t) {
			mux.HandleFunc("/tricks/"+name, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, text) })
		}
		at := serve(h.t, mux)
		for name := range archives(h.t) {
			v := h.holds(h.ask(at+"/"+name+"?v=1"), "a=one d/b=two")
			if v.Origin == nil || v.Origin.Version != `"v1"` || v.Origin.URL != at+"/"+name+"?v=1" {
				h.t.Errorf("the origin of %s is %+v", name, v.Origin)
			}
		}
		v := h.holds(h.ask(at+"/table.csv"), "table.csv=a,b")
		if !strings.Contains(v.Origin.Version, "2026") {
			h.t.Errorf("the version is %q", v.Origin.Version)
		}
		h.holds(h.ask(at+"/moved"), "moved=a,b")
		h.holds(h.ask(at+"/named"), "b.csv=x")
		h.holds(h.ask(at+"/typed"), "a=one d/b=two")
		h.fails(h.ask(at+"/none"), "404")
		h.fails(h.ask(at+"/broken.tar"), "broke off")
		h.fails(h.ask(at+"/broken"), "broke off")
		for name := range tricks(h.t) {
			h.fails(h.ask(at+"/tricks/"+name), "archive")
		}
	})
}

// What is not the public internet is not reached unless the settings allow it, by no
// name, redirect or kind of source.
func TestNoWayToOtherAddresses(t *testing.T) {
	each(t, func(h *harbour) {
		for _, target := range []string{"http://169.254.169.254/latest/meta-data", "http://10.0.0.1/", "http://[::1]:1/", "http://0.0.0.0/x", "http://2130706433/x"} {
			if i := h.ask(target); i.State != weft.ImportFailed || strings.Contains(i.Problem, "cannot be reached") {
				h.t.Errorf("%s is %s: %s", target, i.State, i.Problem)
			}
			at := serve(h.t, http.RedirectHandler(target, http.StatusFound))
			if i := h.ask(at + "/x"); i.State != weft.ImportFailed || strings.Contains(i.Problem, "cannot be reached") {
				h.t.Errorf("a redirect to %s is %s: %s", target, i.State, i.Problem)
			}
		}
		h.fails(h.ask("http://127.0.0.1:1/secret-path?token=abc"), "cannot be reached")
		if i := h.ask("http://127.0.0.1:1/secret-path?token=abc"); strings.Contains(i.Problem, "secret") {
			h.t.Errorf("the problem tells the URL: %s", i.Problem)
		}
	})
}

// An import that the end of the server cuts off leaves nothing, and is begun anew.
func TestRestart(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t))
	sent, cut := make(chan struct{}), 0
	at := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cut++; cut > 1 {
			_, _ = io.WriteString(w, "whole")
			return
		}
		w.Header().Set("Content-Length", "5")
		_, _ = io.WriteString(w, "wh")
		_ = http.NewResponseController(w).Flush()
		close(sent)
		<-r.Context().Done()
	}))
	i, err := h.Ask(t.Context(), weft.Import{Project: h.project, By: h.by, From: at + "/file"})
	must(t, err)
	ctx, end := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := h.Step(ctx); done <- err }()
	<-sent
	end()
	must(t, <-done)
	if now := h.now(i); now.State != weft.ImportRunning {
		t.Errorf("it is %s: %s", now.State, now.Problem)
	}
	h.work() // by the next server, at once
	h.holds(h.now(i), "file=whole")
	if n, _, err := h.store.BlobTotals(t.Context()); err != nil || n != 2 {
		t.Errorf("%d blobs, %v; want the file and the manifest", n, err)
	}
}

// One that a server was at that died is taken up when its lease is over.
func TestLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := open(t, storetest.SQLite(t))
		h.file("a", "one")
		i, err := h.Ask(t.Context(), weft.Import{Project: h.project, By: h.by, From: h.root})
		must(t, err)
		if _, found, err := h.store.ClaimImport(t.Context(), time.Minute); !found || err != nil {
			t.Fatalf("it was not claimed: %v", err)
		}
		time.Sleep(time.Minute - time.Second)
		h.work()
		if now := h.now(i); now.State != weft.ImportRunning {
			t.Errorf("it is %s while it is leased", now.State)
		}
		time.Sleep(2 * time.Second)
		h.work()
		h.holds(h.now(i), "a=one")
	})
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t))
	sent := make(chan struct{})
	at := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "some")
		_ = http.NewResponseController(w).Flush()
		close(sent)
		<-r.Context().Done()
	}))
	i, err := h.Ask(t.Context(), weft.Import{Project: h.project, By: h.by, From: at + "/file"})
	must(t, err)
	done := make(chan error, 1)
	go func() { _, err := h.Step(t.Context()); done <- err }()
	<-sent
	must(t, h.store.FailImport(t.Context(), h.project, i.ID, "it was cancelled"))
	must(t, <-done)
	h.fails(h.now(i), "it was cancelled")
	if err := h.store.FailImport(t.Context(), h.project, i.ID, "again"); weft.KindOf(err) != weft.Conflict {
		t.Errorf("cancelled twice: %v", err)
	}
}

// A handshake that nobody ends fails after its time, and not before.
func TestHandshakesExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := open(t, storetest.SQLite(t))
		_, err := h.Begin(t.Context(), h.project, h.by)
		must(t, err)
		status := func() weft.Status {
			for v, err := range h.store.FindRuns(t.Context(), weft.RunQuery{Project: h.project}) {
				must(t, err)
				return v.Run.Status
			}
			return ""
		}
		time.Sleep(weft.HandshakeLife - time.Second)
		h.work()
		if got := status(); got != weft.Running {
			t.Errorf("it is %s before its time is over", got)
		}
		claimed, err := h.store.ClaimRuns(t.Context(), "engine", time.Minute, 10, weft.Running)
		if err != nil || len(claimed) != 0 {
			t.Errorf("the engine looks after it: %v, %v", claimed, err)
		}
		time.Sleep(2 * time.Second)
		h.work()
		if got := status(); got != weft.Aborting {
			t.Errorf("it is %s after its time", got)
		}
		if claimed, err := h.store.ClaimRuns(t.Context(), "engine", time.Minute, 10, weft.Aborting); err != nil || len(claimed) != 1 || claimed[0].Exit != nil {
			t.Errorf("the engine gets %v, %v", claimed, err)
		}
	})
}
