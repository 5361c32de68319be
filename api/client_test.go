package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// serve returns a client of a server that answers every request by h.
func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := NewClient(s.URL, Options{Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"http://127.0.0.1:8080":              "http://127.0.0.1:8080",
		"http://127.0.0.1:8080/":             "http://127.0.0.1:8080",
		"https://weft:TOKEN@host/api":        "https://host",
		"https://host/below/api/":            "https://host/below",
		"https://host/api?token=TOKEN#TOKEN": "https://host",
	} {
		c, err := NewClient(in, Options{})
		if err != nil || c.Base() != want {
			t.Errorf("%s: %v %v", in, c, err)
		}
	}
	c, err := NewClient("https://weft:TOKEN@host/api", Options{})
	if err != nil || c.Token() != "TOKEN" {
		t.Errorf("%q %v", c.Token(), err)
	}
	for _, in := range []string{"", "host:80", "ftp://host", "http://", "/api", "x://weft:TOKEN@host"} {
		if _, err := NewClient(in, Options{}); err == nil || strings.Contains(err.Error(), "TOKEN") {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestErrorsSayWhatTheServerSaid(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			t.Error("no token")
		}
		w.WriteHeader(http.StatusConflict)
		fmt.Fprint(w, `{"message":"why\nwhat to do","kind":"conflict","see":"x","requestId":"r"}`)
	})
	_, err := c.Plan(t.Context(), "p")
	var e *Error
	if !errors.As(err, &e) || e.Status != 409 || e.Kind != KindConflict || e.Reason() != "why" || e.Advice() != "what to do" || e.See != "x" || e.RequestID != "r" {
		t.Errorf("%+v", err)
	}
}

func TestAnswersOfOthersAreShown(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		fmt.Fprint(w, "<html>a proxy</html>")
	})
	_, err := c.Plan(t.Context(), "p")
	var e *Error
	if !errors.As(err, &e) || e.Status != 502 || !strings.Contains(e.Message, "a proxy") {
		t.Errorf("%+v", err)
	}
}

func TestNoAnswerIsUnavailable(t *testing.T) {
	t.Parallel()
	c, err := NewClient("http://127.0.0.1:1", Options{Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Version(t.Context())
	var e *Error
	if !errors.As(err, &e) || e.Kind != KindUnavailable || e.Status != 0 || strings.Contains(e.Message, "secret") {
		t.Errorf("%+v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = c.Version(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestListsAreReadItemByItem(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/runs":
			fmt.Fprint(w, `[{"runId":"a"},{"runId":"b"}]`)
		case "/api/plans":
			fmt.Fprint(w, `[]`)
		case "/api/data/d/files":
			fmt.Fprint(w, `{"digest":"files","other":{"files":[1]},"files":[{"path":"x"},{"path":"y"}]}`)
		default:
			fmt.Fprint(w, `[{"knitId":"a"},{"kni`)
		}
	})
	var got []string
	for run, err := range c.FindRuns(t.Context(), RunQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, run.RunID)
	}
	for range c.FindPlans(t.Context(), PlanQuery{}) {
		t.Error("there are no plans")
	}
	for f, err := range c.Files(t.Context(), "d") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, f.Path)
	}
	if strings.Join(got, "") != "abxy" {
		t.Errorf("%v", got)
	}
	n, failed := 0, false
	for _, err := range c.FindData(t.Context(), DataQuery{}) {
		failed = err != nil
		n++
	}
	if n != 2 || !failed {
		t.Error("a list that is cut off must end with an error")
	}
}

func TestEventsGoOnAfterABreak(t *testing.T) {
	t.Parallel()
	var from []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		from = append(from, r.Header.Get("Last-Event-ID"))
		switch len(from) {
		case 1:
			fmt.Fprint(w, "id: 0.1\ndata: {}\n\nid: 0.2\ndata: {\"kind\":\"run\",\"runId\":\"a\"}\n\n:\n\nid: 0.3\n\n")
		case 2:
			fmt.Fprint(w, "id: 0.3\ndata: {}\n\nid: 0.4\ndata: {\"kind\":\"run\",\"runId\":\"b\"}\n\n")
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	var got []string
	var last error
	for e, err := range c.Events(t.Context(), EventQuery{}) {
		if err != nil {
			last = err
			continue
		}
		got = append(got, e.Cursor+e.RunID)
	}
	if strings.Join(got, " ") != "0.1 0.2a 0.4b" || strings.Join(from, " ") != " 0.3 0.4" {
		t.Errorf("events %v, taken up after %v", got, from)
	}
	var e *Error
	if !errors.As(last, &e) || e.Status != 404 {
		t.Errorf("%v", last)
	}
}

func TestArchivesThatArriveDamagedAreRefused(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", archiveTrailer)
		fmt.Fprint(w, "bytes")
		sum := "4b3a6218bb3e3a7303e8a171a60fcf92"
		if strings.HasSuffix(r.URL.Path, "damaged") {
			sum = "00000000000000000000000000000000"
		}
		w.Header().Set(archiveTrailer, sum)
	})
	for id, ok := range map[string]bool{"whole": true, "damaged": false} {
		r, err := c.PullArchive(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if string(b) != "bytes" || (err == nil) != ok {
			t.Errorf("%s: %q %v", id, b, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
