package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/store"
)

// Sizes of the large state.
const (
	manyRuns     = 1_000_000
	chainRuns    = 25_000 // of them hang together: with their outputs 100,000 nodes of lineage
	manyPushed   = 1000   // whose product with themselves is all Runs
	importAtOnce = 2000
)

// A crowd makes a state of a million Runs, each with an output and a log, 25,000 of
// which come from one Data.
type crowd struct {
	s       *store.Store
	project weft.ProjectID
	plan    weft.Plan
	root    weft.DataID
	outs    []weft.DataID // of the chain, to hang more on
	pushed  []weft.DataID
	runs    []weft.Run
	data    []weft.Data
}

// measureScale measures a server on a state with a million Runs.
func measureScale(ctx context.Context, l *lab) ([]Figure, error) {
	state := l.path("scale")
	first, err := l.serve(ctx, state) // makes the state, and its administrator
	if err != nil {
		return nil, err
	}
	if err := first.stop(); err != nil {
		return nil, err
	}
	root, err := fill(ctx, filepath.Join(state, "weft.db"))
	if err != nil {
		return nil, fmt.Errorf("make a large state: %w", err)
	}
	var figures []Figure
	var memory float64
	ready, err := repeat(3, func() (float64, error) {
		s, err := l.serve(ctx, state)
		if err != nil {
			return 0, err
		}
		return s.ready.Seconds(), s.stop()
	})
	if err != nil {
		return nil, err
	}
	s, err := l.serve(ctx, state)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	if memory, err = s.settled(ctx); err != nil {
		return nil, err
	}
	figures = append(figures,
		atMost("server of 1,000,000 runs: start to ready", median(ready), "s", 1),
		atMost("server of 1,000,000 runs: idle memory", memory, "MB", 400))
	for _, measure := range []func(context.Context, *server, string, float64) ([]Figure, error){listAll, lineage} {
		found, err := measure(ctx, s, root.String(), memory)
		if err != nil {
			return nil, err
		}
		figures = append(figures, found...)
	}
	return figures, nil
}

// settled waits until the server has loaded what it loads in the background, and
// returns its memory when idle.
func (s *server) settled(ctx context.Context) (float64, error) {
	last := 0.0
	for range 60 {
		select {
		case <-time.After(idle):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		now, err := s.memory()
		if err != nil {
			return 0, err
		}
		if now <= last*1.01 {
			return now, nil
		}
		last = now
	}
	return last, nil
}

// listAll reads the whole unpaged list of Runs, as knit does.
func listAll(ctx context.Context, s *server, _ string, memory float64) ([]Figure, error) {
	most := memory
	var n int64
	first, err := repeat(3, func() (float64, error) {
		from := time.Now()
		body, err := s.get(ctx, "/api/runs")
		if err != nil {
			return 0, err
		}
		defer body.Close()
		var one [1]byte
		if _, err := io.ReadFull(body, one[:]); err != nil {
			return 0, err
		}
		took := time.Since(from).Seconds()
		for {
			read, err := io.CopyN(io.Discard, body, 16<<20)
			n += read
			now, err2 := s.memory()
			if err2 != nil {
				return 0, err2
			}
			most = max(most, now)
			if errors.Is(err, io.EOF) {
				return took, nil
			}
			if err != nil {
				return 0, err
			}
		}
	})
	return []Figure{
		atMost("unpaged list of 1,000,000 runs: first byte", 1000*median(first), "ms", 20),
		atMost("unpaged list of 1,000,000 runs: more memory", most-memory, "MB", 20),
	}, err
}

// lineage reads the whole history of 100,000 nodes.
func lineage(ctx context.Context, s *server, root string, _ float64) ([]Figure, error) {
	took, err := repeat(5, func() (float64, error) {
		return timed(func() error {
			body, err := s.get(ctx, "/api/data/"+root+"/lineage?downstream")
			if err != nil {
				return err
			}
			defer body.Close()
			n, err := io.Copy(io.Discard, body)
			if err == nil && n < chainRuns*100 {
				err = fmt.Errorf("the lineage has %d bytes only", n)
			}
			return err
		})
	})
	return []Figure{atMost("lineage of 100,000 nodes: whole answer", 1000*median(took), "ms", 300)}, err
}

func (s *server) get(ctx context.Context, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("%s: %s", path, resp.Status)
	}
	return resp.Body, nil
}

// fill makes the large state and returns the Data that its lineage begins with.
func fill(ctx context.Context, file string) (weft.DataID, error) {
	s, err := store.Open(ctx, "sqlite:"+file, store.Options{})
	if err != nil {
		return weft.DataID{}, err
	}
	c := &crowd{s: s}
	err = c.fill(ctx)
	return c.root, errors.Join(err, s.Close())
}

func (c *crowd) fill(ctx context.Context) error {
	project, err := c.s.DefaultProject(ctx)
	if err != nil {
		return err
	}
	c.project = project.ID
	if c.plan, err = c.makePlan(ctx); err != nil {
		return err
	}
	for range manyPushed {
		id := weft.NewID[weft.Data]()
		_, err = c.s.PushData(ctx, weft.Push{Project: c.project, Plan: weft.PlanUploaded, Run: weft.NewID[weft.Run](), Data: id,
			Tree: weft.Tree{Digest: weft.Digest{1}}, At: time.Now().UTC()})
		if err != nil {
			return err
		}
		c.pushed = append(c.pushed, id)
	}
	c.root = c.pushed[0]
	c.outs = []weft.DataID{c.root}
	at := time.Now().UTC().Add(-manyRuns * 100 * time.Millisecond)
	for i := range manyRuns {
		c.add(i, at.Add(time.Duration(i)*100*time.Millisecond))
		if len(c.runs) == importAtOnce {
			if err := c.s.Import(ctx, c.runs, c.data); err != nil {
				return err
			}
			c.runs, c.data = c.runs[:0], c.data[:0]
		}
	}
	return c.s.Import(ctx, c.runs, c.data)
}

func (c *crowd) makePlan(ctx context.Context) (weft.Plan, error) {
	tags, err := weft.ParseTags("made:by", "bench:scale")
	if err != nil {
		return weft.Plan{}, err
	}
	in, err := weft.ParseTags("asked:for")
	p := weft.Plan{
		ID: weft.NewID[weft.Plan](), Project: c.project, CreatedAt: time.Now().UTC(), Active: true,
		Image:  weft.Image{Repository: "bench/scale", Tag: "v1"},
		Inputs: []weft.Input{{Path: "/a", Tags: in}, {Path: "/b", Tags: in}}, Outputs: []weft.Output{{Path: "/out", Tags: tags}},
		Log: &weft.Log{Tags: tags},
	}.Normalize()
	if err == nil {
		_, err = c.s.CreatePlan(ctx, p, weft.PrincipalID{})
	}
	return p, err
}

// add makes the ith Run with its Data. The first of them read what earlier ones made;
// the rest are the product of two sets that were pushed.
func (c *crowd) add(i int, at time.Time) {
	in := weft.Assignment{c.pushed[i/manyPushed], c.pushed[i%manyPushed]}
	if i < chainRuns {
		in = weft.Assignment{c.outs[i/2%len(c.outs)], c.outs[i/3%len(c.outs)]}
		if in[0] == in[1] {
			in[1] = c.pushed[i%manyPushed]
		}
	}
	ids := []weft.DataID{weft.NewID[weft.Data](), weft.NewID[weft.Data]()}
	r := weft.NewRun(c.plan, weft.NewID[weft.Run](), in, ids, weft.Cause{Kind: weft.CauseProjection}, at)
	r.Status, r.StartedAt, r.EndedAt, r.Exit = weft.Done, at, at, &weft.Exit{}
	if i < chainRuns {
		c.outs = append(c.outs, ids[0])
	}
	c.runs = append(c.runs, r)
	for nth, id := range ids {
		c.data = append(c.data, weft.Data{
			ID: id, Project: c.project, Tags: c.plan.Outputs[0].Tags, Timestamp: at, CreatedAt: at,
			Source: weft.Source{Run: r.ID, Plan: c.plan.ID, Status: r.Status, Path: c.plan.Outputs[0].Path, Log: nth == 1},
			Tree:   weft.Digest{2}, Files: 1, Bytes: 1,
		})
	}
}
