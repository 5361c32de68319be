package server

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// oneRun makes a Run of a plan that keeps its log.
func (r *real) oneRun(t testing.TB, log bool) weft.RunID {
	t.Helper()
	spec := api.PlanSpec{Image: "localhost:30503/trainer:v1", Inputs: []api.PlanSpecInput{{Mountpoint: api.Mountpoint{Path: "/in", Tags: []api.Tag{{Key: "type", Value: "dataset"}}}}}}
	if log {
		spec.Log = &api.LogPoint{}
	}
	p, err := r.client.CreatePlan(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	r.push(t, []string{"a=b"}, "type:dataset")
	r.projectAll(t)
	for run, err := range r.client.FindRuns(t.Context(), api.RunQuery{Plans: []string{p.PlanID}}) {
		if err != nil {
			t.Fatal(err)
		}
		id, err := weft.ParseID[weft.Run](run.RunID)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	t.Fatal("no run was made")
	return weft.RunID{}
}

func TestLogsByStatus(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	id := r.oneRun(t, true)
	url := r.http.URL + "/api/runs/" + id.String() + "/log"
	expect := func(status int, text string, queries ...string) {
		t.Helper()
		for _, q := range queries {
			if got, body, header := ask(t, "GET", url+q, ""); got != status || status == 200 && (body != text || header.Get("Content-Type") != "application/octet-stream") {
				t.Errorf("%q: %d %q", q, got, body)
			}
		}
	}
	expect(503, "", "", "?follow")
	r.move(t, id, weft.Ready)
	expect(503, "", "", "?follow")
	r.move(t, id, weft.Starting)
	expect(200, "", "")
	r.logs.now[id] = "so far"
	r.move(t, id, weft.Running)
	expect(200, "so far", "")
	r.move(t, id, weft.Completing)
	expect(200, "so far", "", "?follow")
	delete(r.logs.now, id)
	r.move(t, id, weft.Done)
	expect(200, "first line\nlast line\n", "", "?follow", "?follow=no")
	if err := r.client.DeleteRun(t.Context(), id.String()); err != nil {
		t.Fatal(err)
	}
	expect(404, "", "", "?follow")
}

func TestPlansWithoutLogHaveNone(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	id := r.oneRun(t, false)
	if _, err := r.client.RunLog(t.Context(), id.String(), false); kindOf(err) != api.KindNotFound {
		t.Errorf("%v", err)
	}
}

func TestFollowedLinesComeAtOnce(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	id := r.oneRun(t, true)
	r.move(t, id, weft.Ready, weft.Starting, weft.Running)
	out, in := io.Pipe()
	r.logs.follow[id] = out
	log, err := r.client.RunLog(t.Context(), id.String(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	lines := bufio.NewReader(log)
	for _, line := range []string{"one\n", "two\n"} {
		if _, err := io.WriteString(in, line); err != nil {
			t.Fatal(err)
		}
		if got, err := lines.ReadString('\n'); err != nil || got != line {
			t.Fatalf("%q %v", got, err)
		}
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := lines.ReadByte(); err != io.EOF {
		t.Errorf("the end of the log is %v", err)
	}
}

// A run that is being started has no log yet: whoever follows waits for it.
func TestFollowWaitsForTheContainer(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	id := r.oneRun(t, true)
	r.move(t, id, weft.Ready, weft.Starting)
	got := make(chan string)
	go func() {
		log, err := r.client.RunLog(context.WithoutCancel(t.Context()), id.String(), true)
		if err != nil {
			got <- err.Error()
			return
		}
		text, err := io.ReadAll(log)
		if err != nil {
			got <- err.Error()
			return
		}
		got <- string(text)
	}()
	r.move(t, id, weft.Completing, weft.Done)
	if text := <-got; text != "first line\nlast line\n" {
		t.Errorf("%q", text)
	}
}

func TestDrainEndsWhatWouldGoOnForEver(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	id := r.oneRun(t, true)
	r.move(t, id, weft.Ready, weft.Starting, weft.Running)
	out, _ := io.Pipe()
	r.logs.follow[id] = out
	log, err := r.client.RunLog(t.Context(), id.String(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	stood := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		res, err := http.DefaultClient.Do(withToken(t, r.http.URL+"/api/events"))
		if err != nil {
			t.Error(err)
			close(stood)
			return
		}
		defer res.Body.Close()
		b := bufio.NewReader(res.Body)
		if _, err := b.ReadString('\n'); err != nil {
			t.Error(err)
		}
		close(stood)
		if _, err := io.Copy(io.Discard, b); err != nil {
			t.Error(err)
		}
	}()
	<-stood
	r.Drain()
	r.Drain() // again is no harm
	<-ended
	if _, err := io.ReadAll(log); err == nil {
		t.Error("a log that was cut must not look whole")
	}
	if status, text, _ := ask(t, "GET", r.http.URL+"/readyz", ""); status != 503 || !strings.Contains(text, "ending") {
		t.Errorf("%d %s", status, text)
	}
}

func withToken(t testing.TB, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("", testToken)
	return req
}

func TestEventsComeInOrderAndCanBeTakenUp(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var first []api.Event
	var id weft.RunID
	for e, err := range r.client.Events(ctx, api.EventQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == "" {
			id = r.oneRun(t, true)
			r.move(t, id, weft.Ready)
			continue
		}
		first = append(first, e)
		if e.RunID == id.String() && e.To == string(weft.Ready) {
			break
		}
	}
	if len(first) < 4 {
		t.Fatalf("%+v", first)
	}
	r.move(t, id, weft.Starting)
	var second []api.Event
	for e, err := range r.client.Events(ctx, api.EventQuery{After: first[1].Cursor, Kinds: []string{"run"}, Run: id.String()}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind != "" {
			second = append(second, e)
		}
		if e.To == string(weft.Starting) {
			break
		}
	}
	var path []string
	for _, e := range second {
		path = append(path, e.To)
	}
	if strings.Join(path, " ") != "waiting ready starting" {
		t.Errorf("%v", path)
	}
	for _, err := range r.client.Events(ctx, api.EventQuery{After: "nonsense"}) {
		if kindOf(err) != api.KindInvalid {
			t.Errorf("%v", err)
		}
	}
}
