package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	knitdata "github.com/opst/knitfab-api-types/data"
	knitplans "github.com/opst/knitfab-api-types/plans"
	knitruns "github.com/opst/knitfab-api-types/runs"

	"github.com/weft-dev/weft"
)

// TestGolden plays the exchanges in testdata/golden, each file on a server of its own,
// and compares the answers. A file is a list of
//
//	METHOD PATH          the request
//	BODY                 its JSON, or "@tar a.txt=hello link->a.txt"; may be absent
//	-- STATUS TYPE
//	ANSWER               JSON is indented for reading; its order is kept
//
// Ids are replaced by <1>, <2>, … in the order in which they appear, which requests may
// use; times by <time>. Lines that begin with # are comments; those that begin with !
// do what only the engine does: "!project" makes the runs that are possible, and
// "!run <3> ready running" takes one through statuses.
func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "golden", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no exchanges: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			p := &player{t: t, real: newReal(t)}
			got := p.play(string(want))
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("answers differ; run with -update and look at what changes\n%s", firstDifference(got, string(want)))
			}
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d\ngot  %s\nwant %s", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, and %d were wanted", len(g), len(w))
}

// A player plays one file.
type player struct {
	t    *testing.T
	real *real
	ids  []string
	out  strings.Builder
}

func (p *player) play(text string) string {
	var request []string
	answering := false
	flush := func() {
		if len(request) > 0 {
			p.exchange(request)
			request = nil
		}
	}
	for _, line := range strings.SplitAfter(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "-- "):
			flush()
			answering = true
			continue
		case !isRequest(trimmed) && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "!") && answering:
			continue // the answer of last time
		}
		if isRequest(trimmed) || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "!") {
			flush()
			answering = false
		}
		switch {
		case isRequest(trimmed):
			request = []string{trimmed}
			p.out.WriteString(line)
		case strings.HasPrefix(line, "!"):
			p.out.WriteString(line)
			p.act(strings.Fields(trimmed[1:]))
		case strings.HasPrefix(line, "#"):
			p.out.WriteString(line)
		default:
			if trimmed != "" && request != nil {
				request = append(request, trimmed)
				p.out.WriteString(line)
			}
		}
	}
	flush()
	return strings.TrimRight(p.out.String(), "\n") + "\n"
}

var requestLine = regexp.MustCompile(`^(GET|PUT|POST|DELETE|HEAD) /`)

func isRequest(line string) bool { return requestLine.MatchString(line) }

// act does what the engine would.
func (p *player) act(words []string) {
	switch words[0] {
	case "project":
		p.real.projectAll(p.t)
	case "run":
		id, err := weft.ParseID[weft.Run](p.known(words[1]))
		if err != nil {
			p.t.Fatal(err)
		}
		var statuses []weft.Status
		for _, w := range words[2:] {
			statuses = append(statuses, weft.Status(w))
		}
		p.real.move(p.t, id, statuses...)
	default:
		p.t.Fatalf("unknown act %q", words)
	}
}

func (p *player) exchange(request []string) {
	method, path, _ := strings.Cut(request[0], " ")
	body := []byte(p.known(strings.Join(request[1:], "\n")))
	contentType := "application/json"
	if files, ok := strings.CutPrefix(string(body), "@tar"); ok {
		body, contentType = archive(p.t, strings.Fields(files)...), archiveType
	}
	req, err := http.NewRequest(method, p.real.http.URL+p.known(path), bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.SetBasicAuth("weft", testToken)
	req.Header.Set("Content-Type", contentType)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if res.StatusCode == http.StatusOK {
		p.knitReads(method, path, text)
	}
	fmt.Fprintf(&p.out, "-- %d %s\n%s\n\n", res.StatusCode, res.Header.Get("Content-Type"), p.readable(res, text))
}

// knitReads decodes the answers to knit's requests with its own types.
func (p *player) knitReads(method, path string, text []byte) {
	path, query, _ := strings.Cut(strings.TrimSuffix(path, "/"), "?")
	if strings.HasPrefix(query, "dry_run") || len(text) == 0 {
		return
	}
	parts := strings.Split(path, "/") // "", api, noun, id, what
	last := parts[len(parts)-1]
	switch noun, list := parts[2], len(parts) == 3 && method == "GET"; {
	case list && noun == "data":
		asKnit[[]knitdata.Detail](p.t, string(text))
	case list && noun == "plans":
		asKnit[[]knitplans.Detail](p.t, string(text))
	case list && noun == "runs":
		asKnit[[]knitruns.Detail](p.t, string(text))
	case noun == "data" && (method == "PUT" || len(parts) == 3 || last == "detail"):
		asKnit[knitdata.Detail](p.t, string(text))
	case noun == "plans" && !slices.Contains([]string{"why", "graph"}, last):
		asKnit[knitplans.Detail](p.t, string(text))
	case noun == "runs" && last != "log":
		asKnit[knitruns.Detail](p.t, string(text))
	}
}

var (
	anID      = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	aTime     = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?\+00:00`)
	aRequest  = regexp.MustCompile(`"requestId":"[^"]*"`)
	aKnownID  = regexp.MustCompile(`<\d+>`)
	isArchive = map[string]bool{archiveType: true}
)

// readable makes an answer the same in every run.
func (p *player) readable(res *http.Response, text []byte) string {
	if isArchive[res.Header.Get("Content-Type")] {
		return fmt.Sprintf("an archive; its trailer: %v", res.Trailer.Get(archiveTrailer) != "")
	}
	s := aRequest.ReplaceAllString(string(text), `"requestId":"<request>"`)
	s = anID.ReplaceAllStringFunc(s, func(id string) string {
		i := slices.Index(p.ids, id)
		if i < 0 {
			i = len(p.ids)
			p.ids = append(p.ids, id)
		}
		return fmt.Sprintf("<%d>", i+1)
	})
	s = aTime.ReplaceAllString(s, "<time>")
	var b bytes.Buffer
	if json.Valid([]byte(s)) && json.Indent(&b, bytes.TrimSpace([]byte(s)), "", " ") == nil {
		s = b.String()
	}
	return strings.TrimSpace(s)
}

// known puts ids where <1>, <2>, … stand.
func (p *player) known(text string) string {
	return aKnownID.ReplaceAllStringFunc(text, func(ref string) string {
		var n int
		if _, err := fmt.Sscanf(ref, "<%d>", &n); err != nil || n < 1 || n > len(p.ids) {
			p.t.Fatalf("%s is not known yet", ref)
		}
		return p.ids[n-1]
	})
}
