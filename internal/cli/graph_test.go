package cli

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file in testdata/golden.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs; if that is meant, run the test with -update (-want +got):\n%s", name, diff)
	}
}

// history makes a lineage of a text. Each line is a run:
//
//	STATUS IMAGE PATH=DATA… -> PATH=DATA…     with * before the data asked about
//	tags DATA key:value…
//
// The output (log) is the log. Ids count up in the order of appearance.
func history(t *testing.T, text string) api.Lineage {
	t.Helper()
	var l api.Lineage
	ids, at := map[string]int{}, time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	data := func(name string) *api.LineageData {
		start := strings.HasPrefix(name, "*")
		name = strings.TrimPrefix(name, "*")
		i, ok := ids[name]
		if !ok {
			i = len(l.Data)
			ids[name] = i
			l.Data = append(l.Data, api.LineageData{KnitID: fmt.Sprintf("01930e5c-8c54-7a31-9f00-d%011d", i+1)})
		}
		if start {
			l.Start = l.Data[i].KnitID
		}
		return &l.Data[i]
	}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if words[0] == "tags" {
			tags, err := weft.ParseTags(words[2:]...)
			if err != nil {
				t.Fatal(err)
			}
			d := data(words[1])
			d.Tags = append(d.Tags, wireTags(tags)...)
			continue
		}
		r := api.RunDetail{RunSummary: api.RunSummary{RunID: fmt.Sprintf("01930e5c-8c54-7a31-9f00-e%011d", len(l.Runs)+1), Status: words[0]}}
		r.Plan.Image = words[1]
		if strings.HasPrefix(words[1], weft.SystemPrefix) {
			r.Plan.Image, r.Plan.Name = "", words[1]
		}
		started := at
		at = at.Add(90 * time.Second)
		r.StartedAt, r.EndedAt, r.UpdatedAt = &api.Time{Time: started}, &api.Time{Time: at}, api.Time{Time: at}
		if words[0] == "failed" {
			r.Exit = &api.Exit{Code: 3, Message: "(container main) Error"}
		}
		made := false
		for _, w := range words[2:] {
			path, name, _ := strings.Cut(w, "=")
			switch {
			case w == "->":
				made = true
			case path == logLabel:
				r.Log = &api.RunLog{KnitID: data(name).KnitID}
			case made:
				r.Outputs = append(r.Outputs, api.Assignment{Mountpoint: api.Mountpoint{Path: path}, KnitID: data(name).KnitID})
			default:
				r.Inputs = append(r.Inputs, api.Assignment{Mountpoint: api.Mountpoint{Path: path}, KnitID: data(name).KnitID})
			}
		}
		if words[0] == "done" {
			for _, id := range outputsOf(r) {
				for i := range l.Data {
					if l.Data[i].KnitID == id {
						l.Data[i].Tags = append(l.Data[i].Tags, api.Tag{Key: weft.KeyTimestamp, Value: weft.FormatTime(at)})
					}
				}
			}
		}
		l.Runs = append(l.Runs, r)
	}
	return l
}

const digits = `
	done    knit#uploaded                                -> /upload=train
	done    knit#uploaded                                -> /upload=test
	done    localhost:30503/digits/trainer:v1            /in/train=train -> /out/model=*model (log)=trainlog
	done    localhost:30503/digits/evaluator:v1          /in/model=model /in/test=test -> /out/report=report (log)=evallog
	failed  localhost:30503/digits/visualizer:2026-11-22 /in/model=model /in/train=train -> /out/picture=picture (log)=vizlog
	running localhost:30503/publisher:v3                 /in/report=report -> /out/page=page
	tags train name:train type:dataset mode:train project:digits
	tags test name:test type:dataset mode:test project:digits
	tags model type:model project:digits quality:checked,_and_found_to_be_good_enough_for_everyone
	tags report type:report project:digits
	tags trainlog type:log
	tags evallog type:log
	tags vizlog type:log
	tags picture type:picture
	tags page type:page
`

func TestDrawLineage(t *testing.T) {
	t.Parallel()
	g := lineageGraph(history(t, digits))
	for name, write := range map[string]func(io.Writer, graph) error{
		"lineage.svg":  writeSVG,
		"lineage.dot":  writeDot,
		"lineage.tree": func(w io.Writer, g graph) error { return writeTree(w, g, style{}) },
	} {
		var b bytes.Buffer
		if err := write(&b, g); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
	}
}

func TestDrawPlanGraph(t *testing.T) {
	t.Parallel()
	g := planGraph(api.PlanGraph{
		Start: "01930e5c-8c54-7a31-9f00-f00000000002",
		Plans: []api.PlanDetail{
			testPlan("01930e5c-8c54-7a31-9f00-f00000000001", "localhost:30503/digits/trainer:v1", true, "/in/train=type:dataset mode:train", "/out/model=type:model"),
			testPlan("01930e5c-8c54-7a31-9f00-f00000000002", "localhost:30503/digits/evaluator:v1", true, "/in/model=type:model|/in/test=type:dataset mode:test", "/out/report=type:report"),
			testPlan("01930e5c-8c54-7a31-9f00-f00000000003", "localhost:30503/publisher:v3", false, "/in/report=type:report|/in/log=type:log", "/out/page=type:page"),
		},
		Edges: []api.PlanEdge{
			{From: "01930e5c-8c54-7a31-9f00-f00000000001", Output: "/out/model", To: "01930e5c-8c54-7a31-9f00-f00000000002", Input: "/in/model"},
			{From: "01930e5c-8c54-7a31-9f00-f00000000002", Output: "/out/report", To: "01930e5c-8c54-7a31-9f00-f00000000003", Input: "/in/report"},
			{From: "01930e5c-8c54-7a31-9f00-f00000000001", Log: true, To: "01930e5c-8c54-7a31-9f00-f00000000003", Input: "/in/log"},
			{From: "01930e5c-8c54-7a31-9f00-f00000000002", Log: true, To: "01930e5c-8c54-7a31-9f00-f00000000003", Input: "/in/log"},
		},
	})
	for name, write := range map[string]func(io.Writer, graph) error{
		"plans.svg":  writeSVG,
		"plans.dot":  writeDot,
		"plans.tree": func(w io.Writer, g graph) error { return writeTree(w, g, style{}) },
	} {
		var b bytes.Buffer
		if err := write(&b, g); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
	}
}

// testPlan makes a plan of mountpoints written as PATH=TAGS, with | between them.
func testPlan(id, image string, active bool, inputs, outputs string) api.PlanDetail {
	p := api.PlanDetail{PlanSummary: api.PlanSummary{PlanID: id, Image: image}, Active: active}
	mounts := func(s string) (ms []api.Mountpoint) {
		for part := range strings.SplitSeq(s, "|") {
			path, tags, _ := strings.Cut(part, "=")
			m := api.Mountpoint{Path: path}
			for t := range strings.FieldsSeq(tags) {
				k, v, _ := strings.Cut(t, ":")
				m.Tags = append(m.Tags, api.Tag{Key: k, Value: v})
			}
			ms = append(ms, m)
		}
		return ms
	}
	for _, m := range mounts(inputs) {
		p.Inputs = append(p.Inputs, api.PlanInput{Mountpoint: m})
	}
	for _, m := range mounts(outputs) {
		p.Outputs = append(p.Outputs, api.PlanOutput{Mountpoint: m})
	}
	p.Log = &api.PlanLog{LogPoint: api.LogPoint{Tags: []api.Tag{{Key: "type", Value: "log"}}}}
	return p
}

// Whatever is in tags and paths, the picture is well-formed and the text is one line.
func TestDrawHostileText(t *testing.T) {
	t.Parallel()
	evil := "</text><script>alert(1)</script>\"'&\x1b[31m\n\x00\xff"
	g := graph{title: evil, nodes: []node{
		{id: evil, head: evil, lines: []string{evil}, tags: []string{evil}},
		{id: evil, head: evil, kind: runNode, status: weft.Status(evil)},
	}, edges: []edge{{from: 0, to: 1, leaves: evil, reaches: evil}}}
	var b bytes.Buffer
	if err := writeSVG(&b, g); err != nil {
		t.Fatal(err)
	}
	for dec := xml.NewDecoder(bytes.NewReader(b.Bytes())); ; {
		tok, err := dec.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("the SVG is not XML: %v", err)
		}
		if el, ok := tok.(xml.StartElement); ok && el.Name.Local == "script" {
			t.Fatal("the SVG has a script of a tag")
		}
	}
	b.Reset()
	if err := writeTree(&b, g, style{}); err != nil {
		t.Fatal(err)
	}
	if bytes.ContainsAny(b.Bytes(), "\x1b\x00") {
		t.Errorf("the tree has control characters: %q", b.String())
	}
}

// A history of many thousand nodes is drawn in reasonable time, and each edge leads
// to the right.
func TestLayoutLarge(t *testing.T) {
	t.Parallel()
	const n = 20_000
	g := graph{}
	for i := range n {
		g.nodes = append(g.nodes, node{id: fmt.Sprint(i)})
		if i > 0 {
			g.edges = append(g.edges, edge{from: i / 2, to: i}, edge{from: i * 2 / 3, to: i})
		}
	}
	g.edges = g.edges[2:]
	sizes := make([]box, n)
	for i := range sizes {
		sizes[i] = box{w: 10, h: 10}
	}
	lay := arrange(g, sizes, func(edge) float64 { return 0 })
	for i, e := range g.edges {
		path := lay.paths[i]
		if e.from != e.to && path[0].x >= path[len(path)-1].x {
			t.Fatalf("edge %d → %d leads to the left", e.from, e.to)
		}
	}
}

func TestLayoutDoesNotOverlap(t *testing.T) {
	t.Parallel()
	g := lineageGraph(history(t, digits))
	sizes := make([]box, len(g.nodes))
	for i, n := range g.nodes {
		c := newCard(n)
		sizes[i] = box{w: c.w, h: c.h}
	}
	lay := arrange(g, sizes, func(edge) float64 { return 0 })
	for i, a := range lay.boxes {
		for j, b := range lay.boxes[:i] {
			if a.x < b.x+b.w && b.x < a.x+a.w && a.y < b.y+b.h && b.y < a.y+a.h {
				t.Errorf("%s and %s overlap", g.nodes[i].head, g.nodes[j].head)
			}
		}
	}
}
