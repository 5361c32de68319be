package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/weft-dev/weft"
)

func TestFindData(t *testing.T) {
	eachWorld(t, func(w *world) {
		p := w.plan("type:csv, lang:en -> type:model")
		en, de := w.push("type:csv, lang:en"), w.push("type:csv, lang:de")
		w.projection()
		out := w.runs(p.ID)[0].Outputs[0].Data
		bare := w.push("")
		at := w.data(en).Data.AllTags().Key(weft.KeyTimestamp)[0]
		for _, c := range []struct {
			tags string
			want []weft.DataID
		}{
			{"", []weft.DataID{en, de, bare, out}}, // without a timestamp last
			{"type:csv", []weft.DataID{en, de}},
			{"type:csv, lang:de", []weft.DataID{de}},
			{"type:csv, lang:fr", nil},
			{"knit#id:" + en.String(), []weft.DataID{en}},
			{"knit#id:" + en.String() + ", lang:de", nil},
			{"knit#id:unheard of", nil},
			{"knit#transient:processing", []weft.DataID{out}},
			{"knit#transient:failed", nil},
			{"knit#transient:processing, type:model", []weft.DataID{out}},
			{"knit#other:thing", nil},
			{at.String() + ", lang:en", []weft.DataID{en}},
		} {
			if got := w.find(weft.DataQuery{Tags: w.tags(c.tags)}); !slices.Equal(got, c.want) {
				w.Errorf("with tags %q %v is found, want %v", c.tags, got, c.want)
			}
		}
		if got := w.find(weft.DataQuery{Page: weft.Page{Newest: true}}); !slices.Equal(got, []weft.DataID{out, bare, de, en}) {
			w.Errorf("the newest first are %v", got)
		}
	})
}

func TestFindDataByTime(t *testing.T) {
	eachWorld(t, func(w *world) {
		begin := time.Now().UTC().Truncate(time.Millisecond).Add(-time.Hour)
		var ids []weft.DataID
		for i := range 4 {
			id := weft.NewID[weft.Data]()
			must(w.s.PushData(w.Context(), weft.Push{Project: w.project, Plan: weft.PlanUploaded, Run: weft.NewID[weft.Run](), Data: id,
				Tags: w.tags("type:csv"), At: begin.Add(time.Duration(i) * time.Minute)}))(w)
			ids = append(ids, id)
		}
		p := w.plan("type:csv -> type:model")
		w.projection()
		processing := len(w.runs(p.ID))
		for _, newest := range []bool{false, true} {
			q := weft.DataQuery{Since: begin.Add(time.Minute), Until: begin.Add(3 * time.Minute), Page: weft.Page{Newest: newest}}
			want := slices.Clone(ids[1:3])
			if newest {
				slices.Reverse(want)
			}
			if got := w.find(q); !slices.Equal(got, want) {
				w.Errorf("%v is found, want %v", got, want)
			}
			q.Tags = w.tags("type:csv")
			if got := w.find(q); !slices.Equal(got, want) {
				w.Errorf("by tag %v is found, want %v", got, want)
			}
		}
		if got := w.find(weft.DataQuery{Since: begin.Add(30 * time.Minute)}); len(got) != processing {
			w.Errorf("%d data are younger, want the %d whose runs wait", len(got), processing)
		}
	})
}

func TestPages(t *testing.T) {
	eachWorld(t, func(w *world) {
		p := w.plan("type:csv -> type:model")
		for range 130 {
			w.push("type:csv")
		}
		w.projection()
		for _, newest := range []bool{false, true} {
			var all, paged []weft.RunID
			q := weft.RunQuery{Project: w.project, Page: weft.Page{Newest: newest}}
			for v, err := range w.s.FindRuns(w.Context(), q) {
				all = append(all, must(v, err)(w).Run.ID)
			}
			for q.Page.Limit = 7; ; {
				n := 0
				for v, err := range w.s.FindRuns(w.Context(), q) {
					paged = append(paged, must(v, err)(w).Run.ID)
					q.Page.After = v.Next
					n++
				}
				if n < 7 {
					break
				}
			}
			if len(all) != 260 || !slices.Equal(all, paged) {
				w.Errorf("newest first %v: %d runs in all, %d by pages", newest, len(all), len(paged))
			}
		}
		if got := len(w.find(weft.DataQuery{})); got != 260 {
			w.Errorf("%d data are found, want 260", got)
		}
		for v, err := range w.s.FindRuns(w.Context(), weft.RunQuery{Project: w.project, Page: weft.Page{After: "nonsense"}}) {
			w.wantKind(err, weft.Invalid)
			_ = v
		}
		_ = p
	})
}

func TestFindRuns(t *testing.T) {
	eachWorld(t, func(w *world) {
		p, q := w.plan("type:csv -> type:model ! type:log"), w.plan("type:model -> type:score")
		in := w.push("type:csv")
		w.projection()
		first := w.become(w.runs(p.ID)[0].ID, weft.Done)
		w.projection()
		second := w.runs(q.ID)[0]
		upload := w.data(in).Upstream.Run
		find := func(query weft.RunQuery) []weft.RunID {
			query.Project = w.project
			var ids []weft.RunID
			for v, err := range w.s.FindRuns(w.Context(), query) {
				ids = append(ids, must(v, err)(w).Run.ID)
			}
			return ids
		}
		ids := func(runs ...weft.Run) []weft.RunID { return idsOfRuns(runs) }
		model := first.Outputs[0].Data
		for name, c := range map[string]struct {
			q    weft.RunQuery
			want []weft.RunID
		}{
			"all":              {weft.RunQuery{}, ids(upload, first, second)},
			"plan":             {weft.RunQuery{Plans: []weft.PlanID{q.ID}}, ids(second)},
			"plans":            {weft.RunQuery{Plans: []weft.PlanID{q.ID, p.ID}}, ids(first, second)},
			"status":           {weft.RunQuery{Statuses: []weft.Status{weft.Waiting}}, ids(second)},
			"statuses":         {weft.RunQuery{Statuses: []weft.Status{weft.Waiting, weft.Done}}, ids(upload, first, second)},
			"input":            {weft.RunQuery{Inputs: []weft.DataID{model}}, ids(second)},
			"inputs":           {weft.RunQuery{Inputs: []weft.DataID{model, in}}, ids(first, second)},
			"output":           {weft.RunQuery{Outputs: []weft.DataID{model}}, ids(first)},
			"log":              {weft.RunQuery{Outputs: []weft.DataID{first.Log}}, ids(first)},
			"input and output": {weft.RunQuery{Inputs: []weft.DataID{in}, Outputs: []weft.DataID{model, in}}, ids(first)},
			"input and status": {weft.RunQuery{Inputs: []weft.DataID{in}, Statuses: []weft.Status{weft.Failed}}, nil},
			"since":            {weft.RunQuery{Since: second.UpdatedAt}, ids(second)},
			"until":            {weft.RunQuery{Until: first.UpdatedAt}, ids(upload)},
			"plan and time":    {weft.RunQuery{Plans: []weft.PlanID{p.ID}, Since: second.UpdatedAt}, nil},
		} {
			if got := find(c.q); !slices.Equal(got, c.want) {
				w.Errorf("%s: %v is found, want %v", name, got, c.want)
			}
			c.q.Page.Newest = true
			slices.Reverse(c.want)
			if got := find(c.q); !slices.Equal(got, c.want) {
				w.Errorf("%s, newest first: %v is found, want %v", name, got, c.want)
			}
		}
	})
}

// TestFindRunsOfInput lists the many runs of one input, of which some are in flight, in
// the order in which they changed.
func TestFindRunsOfInput(t *testing.T) {
	eachWorld(t, func(w *world) {
		p := w.plan("type:csv + side:right -> type:model")
		in := w.push("type:csv")
		for range 120 {
			w.push("side:right")
		}
		w.projection()
		for i, r := range w.runs(p.ID) {
			switch i % 4 {
			case 0:
				w.become(r.ID, weft.Running)
			case 1:
				w.become(r.ID, weft.Done)
			case 2:
				must(w.s.StopRun(w.Context(), w.project, r.ID, weft.Stop{Fail: true}, w.by))(w)
			}
		}
		if err := w.s.DeleteRun(w.Context(), w.project, w.runs(p.ID, weft.Done)[0].ID, w.by); err != nil {
			w.Fatal(err)
		}
		must(w.s.RetryRun(w.Context(), w.project, w.runs(p.ID, weft.Done)[0].ID, w.by))(w)
		for name, q := range map[string]weft.RunQuery{
			"all":         {},
			"waiting":     {Statuses: []weft.Status{weft.Waiting}},
			"running":     {Statuses: []weft.Status{weft.Running}},
			"invalidated": {Statuses: []weft.Status{weft.Invalidated}},
			"newest":      {Page: weft.Page{Newest: true}},
			"since":       {Since: w.runs(p.ID)[50].UpdatedAt},
		} {
			q.Project, q.Plans = w.project, []weft.PlanID{p.ID}
			want := w.listed(q)
			q.Inputs = []weft.DataID{in, in}
			if got := w.listed(q); len(got) == 0 || !slices.Equal(got, want) {
				w.Errorf("%s: %d runs are found by input and plan, %d by plan", name, len(got), len(want))
			}
			q.Plans = nil
			if got := w.listed(q); !slices.Equal(got, want) {
				w.Errorf("%s: %d runs are found by input, %d by plan", name, len(got), len(want))
			}
		}
	})
}

// listed returns the ids of the Runs that q selects.
func (w *world) listed(q weft.RunQuery) []weft.RunID {
	w.Helper()
	var ids []weft.RunID
	for v, err := range w.s.FindRuns(w.Context(), q) {
		ids = append(ids, must(v, err)(w).Run.ID)
	}
	return ids
}
