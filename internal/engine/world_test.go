package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/content"
	"github.com/weft-dev/weft/internal/engine"
	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

// A world is what outlives an Engine: a database, a content store and an executor,
// all of them at work, and users who push Data and register Plans.
type world struct {
	t       *testing.T
	store   *store.Store
	fake    *executor.Fake
	content *works
	project weft.ProjectID
	by      weft.PrincipalID
	plans   map[weft.PlanID]string // name of each
	pushed  map[weft.DataID]string // label of each
	adjust  func(*engine.Config)   // of every Engine; nil: as it is
}

func newWorld(t *testing.T, capacity executor.Capacity) *world {
	t.Helper()
	w := &world{t: t, store: storetest.SQLite(t), plans: map[weft.PlanID]string{}, pushed: map[weft.DataID]string{}}
	dir, err := content.Open(t.TempDir(), w.store, slog.New(slog.DiscardHandler))
	w.must(err)
	t.Cleanup(func() { w.must(dir.Close()) })
	w.content = &works{dir: dir, ledger: w.store}
	w.fake = executor.NewFake(executor.FakeOptions{Places: w.content, Capacity: capacity})
	project, err := w.store.DefaultProject(t.Context())
	w.must(err)
	admin, err := w.store.EnsureAdmin(t.Context(), [32]byte{1})
	w.must(err)
	w.project, w.by = project.ID, admin.ID
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// config is that of an Engine in this world.
func (w *world) config() engine.Config {
	c := engine.Config{Store: w.store, Executor: w.fake, Content: w.content, Images: shelf{}, Holder: "sim", Node: "lab"}
	if w.adjust != nil {
		w.adjust(&c)
	}
	return c
}

// plan registers a Plan written as "/in kind:raw → /out kind:clean → log kind:log":
// inputs, then outputs, then maybe the log; each a path and its tags, separated by |.
func (w *world) plan(name, ports, script string, resources string) weft.PlanID {
	w.t.Helper()
	p := weft.Plan{ID: weft.NewID[weft.Plan](), Project: w.project, CreatedAt: time.Now().UTC(), Active: true,
		Image: weft.Image{Repository: "lab/" + name, Tag: "1"}, Args: splitScript(script)}
	parts := strings.Split(ports, " → ")
	for in := range strings.SplitSeq(parts[0], " | ") {
		path, tags := w.port(in)
		p.Inputs = append(p.Inputs, weft.Input{Path: path, Tags: tags})
	}
	for _, outs := range parts[1:] {
		for out := range strings.SplitSeq(outs, " | ") {
			path, tags := w.port(out)
			if path == "log" {
				p.Log = &weft.Log{Tags: tags}
			} else {
				p.Outputs = append(p.Outputs, weft.Output{Path: path, Tags: tags})
			}
		}
	}
	words := map[string]string{}
	for _, r := range strings.Fields(resources) {
		k, v, _ := strings.Cut(r, ":")
		if !w.policy(&p, k, v) {
			words[k] = v
		}
	}
	var err error
	p.Resources, err = weft.ParseResources(words)
	w.must(err)
	p = p.Normalize()
	w.must(p.Validate())
	_, err = w.store.CreatePlan(w.t.Context(), p, w.by)
	w.must(err)
	w.plans[p.ID] = name
	return p.ID
}

// policy sets what a word of the resources says that is none: timeout:5s, retry:2, backoff:1s,
// on:3,lost, grace:5s, concurrency:1, secret:NAME.
func (w *world) policy(p *weft.Plan, key, value string) bool {
	w.t.Helper()
	span := func() time.Duration { return must(weft.ParseSpan(value)) }
	number := func() int64 { return must(strconv.ParseInt(value, 10, 64)) }
	switch key {
	case "timeout":
		p.Policy.Timeout = span()
	case "backoff":
		p.Policy.Retry.Backoff = span()
	case "grace":
		d := span()
		p.Policy.Grace = &d
	case "retry":
		p.Policy.Retry.Limit = number()
	case "on":
		p.Policy.Retry.OnExit = strings.Split(value, ",")
	case "concurrency":
		p.Policy.Concurrency = number()
	case "secret":
		p.Env = append(p.Env, weft.Variable{Name: "SECRET", Secret: value})
	default:
		return false
	}
	return true
}

// splitScript splits at spaces, but for text in single quotes.
func splitScript(s string) []string {
	var words []string
	for i, part := range strings.Split(s, "'") {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}

func (w *world) port(text string) (string, weft.Tags) {
	w.t.Helper()
	words := strings.Fields(text)
	tags, err := weft.ParseTags(words[1:]...)
	w.must(err)
	return words[0], tags
}

// push pushes a Data with one file, x, that holds the label.
func (w *world) push(label string, tags ...string) {
	w.t.Helper()
	ctx, dir := w.t.Context(), w.t.TempDir()
	w.must(os.WriteFile(filepath.Join(dir, "x"), []byte(label), 0o644))
	ts, err := weft.ParseTags(tags...)
	w.must(err)
	tree, _, err := w.content.dir.Seal(ctx, "push "+label, time.Now().Add(time.Hour), dir)
	w.must(err)
	id := weft.NewID[weft.Data]()
	w.pushed[id] = label
	_, err = w.store.PushData(ctx, weft.Push{Project: w.project, By: w.by, Plan: weft.PlanUploaded, Run: weft.NewID[weft.Run](), Data: id,
		Tags: ts, Tree: tree, Pin: "push " + label, At: time.Now().UTC()})
	w.must(err)
}

// runs returns all Runs but those of uploads.
func (w *world) runs() []weft.Run {
	w.t.Helper()
	var out []weft.Run
	for v, err := range w.store.FindRuns(w.t.Context(), weft.RunQuery{Project: w.project}) {
		w.must(err)
		if v.Plan.Name == "" {
			out = append(out, v.Run)
		}
	}
	return out
}

// busy counts the Runs that have not ended.
func (w *world) busy() (n int64) {
	w.t.Helper()
	counts, err := w.store.RunCounts(w.t.Context(), w.project)
	w.must(err)
	for status, c := range counts {
		if !status.Ended() {
			n += c
		}
	}
	return n
}

// outcome tells how all Runs ended, in terms that are the same whenever the same was
// pushed to the same Plans: Runs are named after the Plan and their inputs.
func (w *world) outcome() map[string]string {
	w.t.Helper()
	data := map[weft.DataID]weft.Data{}
	for v, err := range w.store.FindData(w.t.Context(), weft.DataQuery{Project: w.project}) {
		w.must(err)
		data[v.Data.ID] = v.Data
	}
	runs := map[weft.RunID]weft.Run{}
	for _, r := range w.runs() {
		runs[r.ID] = r
	}
	n := namer{w: w, data: data, runs: runs, under: map[weft.RunID]bool{}}
	out := map[string]string{}
	for _, r := range runs {
		name := n.run(r)
		if before, twice := out[name]; twice {
			w.t.Errorf("there are two runs %s; one %s", name, before)
		}
		out[name] = w.ended(r, data)
	}
	return out
}

// A namer names Runs and Data after what they came from.
type namer struct {
	w     *world
	data  map[weft.DataID]weft.Data
	runs  map[weft.RunID]weft.Run
	under map[weft.RunID]bool // whose names are being made
}

func (n namer) run(r weft.Run) string {
	if n.under[r.ID] {
		n.w.t.Fatalf("run %s came from itself", r.ID)
	}
	n.under[r.ID] = true
	defer delete(n.under, r.ID)
	ins := make([]string, len(r.Inputs))
	for i, in := range r.Inputs {
		ins[i] = n.datum(in.Data)
	}
	return n.w.plans[r.Plan] + "(" + strings.Join(ins, ", ") + ")"
}

func (n namer) datum(id weft.DataID) string {
	if label, ok := n.w.pushed[id]; ok {
		return label
	}
	d := n.data[id]
	return n.run(n.runs[d.Source.Run]) + d.Source.Path
}

// ended tells how a Run ended, and checks what holds for each that did.
func (w *world) ended(r weft.Run, data map[weft.DataID]weft.Data) string {
	w.t.Helper()
	text := fmt.Sprintf("%s %v", r.Status, r.Exit)
	if r.Exit != nil {
		text = fmt.Sprintf("%s %v", r.Status, *r.Exit)
	}
	for _, id := range r.OutputIDs() {
		d := data[id]
		if d.Tree.IsZero() {
			w.t.Errorf("run %s is %s, and its output %s is not sealed", r.ID, r.Status, d.Source.Path)
			continue
		}
		if problems, err := w.content.dir.Verify(w.t.Context(), d.Tree, func(int64, int64) {}); err != nil || len(problems) > 0 {
			w.t.Errorf("run %s is %s, and its output %s is not there: %v %v", r.ID, r.Status, d.Source.Path, err, problems)
		}
		text += fmt.Sprintf("; %s %s", d.Source.Path, d.Tree)
	}
	return text
}

// Shelf has every image but those of repositories whose name says otherwise.
type shelf struct{}

func (shelf) Resolve(_ context.Context, _ weft.ProjectID, image weft.Image) (weft.Digest, error) {
	if strings.Contains(image.Repository, "missing") {
		return weft.Digest{}, weft.Errorf(weft.NotFound, "image %s is not in the registry", image).WithAdvice("push it and retry the run")
	}
	return weft.Digest{1}, nil
}

// Works is the content of Runs in a directory store, as app has it.
type works struct {
	dir    *content.Dir
	ledger *store.Store

	mu   sync.Mutex
	full error // what Room says
}

func (c *works) Work(a weft.Attempt, d weft.DataID) string { return c.dir.WorkDir(a, d) }

func (c *works) Tree(ctx context.Context, g weft.Digest) (string, error) { return c.dir.Tree(ctx, g) }

func (c *works) Close(_ context.Context, a weft.Attempt) error { return c.dir.CloseWork(a) }

func (c *works) Seal(ctx context.Context, r weft.Run) (map[weft.DataID]weft.Tree, []string, error) {
	pin, until := r.Current().String(), time.Now().Add(time.Hour)
	trees := map[weft.DataID]weft.Tree{}
	var problems []string
	for _, id := range r.OutputIDs() {
		var tree weft.Tree
		var ps []string
		dir := c.dir.ClosedDir(r.Current(), id)
		_, err := os.Lstat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			tree, err = c.dir.PutManifest(ctx, pin, until, weft.Manifest{})
		case err == nil:
			tree, ps, err = c.dir.Seal(ctx, pin, until, dir)
		}
		if err != nil {
			return nil, nil, err
		}
		trees[id], problems = tree, append(problems, ps...)
	}
	return trees, problems, nil
}

func (c *works) Discard(ctx context.Context, a weft.Attempt) error {
	if err := c.dir.RemoveWork(a); err != nil {
		return err
	}
	return c.ledger.Release(ctx, a.String())
}

func (c *works) Works(context.Context) ([]weft.Attempt, error) { return c.dir.ListWork() }

func (c *works) Room() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.full
}

func (c *works) fill(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.full = err
}
