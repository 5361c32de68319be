package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// A lister is a Store that has n Data, all alike, and breaks after some of them.
type lister struct {
	Store
	view   weft.DataView
	n      int
	breaks int // 0: never
	asked  weft.DataQuery
}

func (l *lister) FindData(ctx context.Context, q weft.DataQuery) iter.Seq2[weft.DataView, error] {
	l.asked = q
	return func(yield func(weft.DataView, error) bool) {
		first, _ := strconv.Atoi(q.Page.After)
		for i := first; i < l.n && (q.Page.Limit == 0 || i < first+q.Page.Limit); i++ {
			if l.breaks > 0 && i == l.breaks-1 {
				yield(weft.DataView{}, errors.New("the database broke"))
				return
			}
			v := l.view
			v.Next = strconv.Itoa(i + 1)
			if !yield(v, nil) || ctx.Err() != nil {
				return
			}
		}
	}
}

// usualData is a Data like most.
func usualData(t testing.TB) weft.DataView {
	p := trainer(t)
	run := weft.Run{ID: weft.NewID[weft.Run](), Status: weft.Done, UpdatedAt: time.Now()}
	return weft.DataView{
		Data: weft.Data{ID: weft.NewID[weft.Data](), Tags: tags(t, "type:dataset", "name:d", "project:p1"), Timestamp: time.Now(),
			Source: weft.Source{Run: run.ID, Plan: p.ID, Status: weft.Done, Path: p.Outputs[0].Path}},
		Upstream:    weft.RunView{Run: run, Plan: p},
		Downstreams: []weft.Use{{Input: p.Inputs[0], Run: weft.RunView{Run: run, Plan: p}}},
	}
}

func TestLongListsAreStreamed(t *testing.T) {
	const n = 50_000
	h, _ := listen(t, newServer(t, Config{Store: &lister{view: usualData(t), n: n}}))
	runtime.GC()
	var before, during runtime.MemStats
	runtime.ReadMemStats(&before)
	req, err := http.NewRequestWithContext(t.Context(), "GET", h.URL+"/api/data", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("", testToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	dec, items := json.NewDecoder(res.Body), 0
	if _, err := dec.Token(); err != nil {
		t.Fatal(err)
	}
	var peak uint64
	for dec.More() {
		var d struct{ KnitID string }
		if err := dec.Decode(&d); err != nil {
			t.Fatal(err)
		}
		if items++; items%(n/10) == 0 {
			runtime.GC()
			runtime.ReadMemStats(&during)
			peak = max(peak, during.HeapAlloc)
		}
	}
	if items != n {
		t.Errorf("%d items", items)
	}
	if grown := int64(peak) - int64(before.HeapAlloc); grown > 20<<20 {
		t.Errorf("memory grew by %d bytes", grown)
	}
}

func TestEmptyListsAreLists(t *testing.T) {
	t.Parallel()
	h, _ := listen(t, newServer(t, Config{Store: &lister{}}))
	for _, query := range []string{"", "?limit=3"} {
		if status, text, _ := ask(t, "GET", h.URL+"/api/data"+query, ""); status != 200 || strings.TrimSpace(text) != "[]" {
			t.Errorf("%s: %d %q", query, status, text)
		}
	}
}

func TestBrokenListsAreNotTakenForWhole(t *testing.T) {
	t.Parallel()
	h, c := listen(t, newServer(t, Config{Store: &lister{view: usualData(t), n: 5000, breaks: 4000}}))
	n, failed := 0, false
	for _, err := range c.FindData(t.Context(), api.DataQuery{}) {
		if err != nil {
			failed = true
		} else {
			n++
		}
	}
	if !failed || n == 5000 {
		t.Errorf("%d items, failed: %v", n, failed)
	}
	h2, _ := listen(t, newServer(t, Config{Store: &lister{view: usualData(t), n: 5000, breaks: 1}}))
	if status, text, _ := ask(t, "GET", h2.URL+"/api/data", ""); status != 500 || !strings.Contains(text, `"requestId"`) || strings.Contains(text, "database") {
		t.Errorf("%d %s", status, text)
	}
	if status, _, _ := ask(t, "GET", h.URL+"/api/data?limit=5000", ""); status != 500 {
		t.Errorf("%d", status)
	}
}

func TestPagesNameTheNext(t *testing.T) {
	t.Parallel()
	h, _ := listen(t, newServer(t, Config{Store: &lister{view: usualData(t), n: 7}}))
	url, got := h.URL+"/api/data?limit=3&tag=a:b", []int{}
	for url != "" {
		status, text, header := ask(t, "GET", url, "")
		var items []api.DataDetail
		if err := json.Unmarshal([]byte(text), &items); err != nil || status != 200 {
			t.Fatalf("%d %s %v", status, text, err)
		}
		got = append(got, len(items))
		url = ""
		if link, ok := strings.CutSuffix(header.Get("Link"), `>; rel="next"`); ok {
			url = h.URL + strings.TrimPrefix(link, "<")
			if !strings.Contains(url, "tag=a%3Ab") {
				t.Errorf("the next page forgets the query: %s", url)
			}
		}
	}
	if len(got) != 3 || got[0] != 3 || got[1] != 3 || got[2] != 1 {
		t.Errorf("pages of %v", got)
	}
}

func TestListQueries(t *testing.T) {
	t.Parallel()
	store := &lister{}
	h, _ := listen(t, newServer(t, Config{Store: store}))
	for query, want := range map[string]int{
		"tag=a:b&tag=c:d:e":                                    200,
		"tag=none":                                             400,
		"tag=knit%23timestamp:yesterday":                       400,
		"since=0001-01-01T00:00:00Z":                           200,
		"since=0001-01-01T00:00:00Z&duration=24h":              200,
		"since=2026-11-22T06:50:48.382%2B00:00&duration=300ms": 200,
		"since=2026-11-22T06:50:48.382+00:00":                  200, // + not escaped
		"since=yesterday":                                      400,
		"duration=24h":                                         400,
		"since=2026-11-22T06:50:48Z&duration=long":             400,
		"limit=0":      400,
		"limit=-1":     400,
		"limit=many":   400,
		"newest=maybe": 400,
		"newest":       200,
	} {
		if status, text, _ := ask(t, "GET", h.URL+"/api/data/?"+query, ""); status != want {
			t.Errorf("%s: %d %s", query, status, text)
		}
	}
}

// BenchmarkList tells what one item of an unpaged list costs.
func BenchmarkList(b *testing.B) {
	h, _ := listen(b, newServer(b, Config{Store: &lister{view: usualData(b), n: b.N}}))
	req, err := http.NewRequest("GET", h.URL+"/api/data", nil)
	if err != nil {
		b.Fatal(err)
	}
	req.SetBasicAuth("", testToken)
	b.ReportAllocs()
	b.ResetTimer()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	n, err := io.Copy(io.Discard, res.Body)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(n / int64(b.N))
}
