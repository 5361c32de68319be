package server

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// drawText draws text that JSON has to escape, and text that it has not.
func drawText(t *rapid.T, name string) string {
	return rapid.OneOf(rapid.StringMatching(`[a-z/ ]{1,8}`), rapid.StringOf(rapid.RuneFrom([]rune("a\"\\\n\t<>&\u2028é\x7f")))).Draw(t, name)
}

func drawTags(t *rapid.T, name string) weft.Tags {
	var ts []weft.Tag
	for range rapid.IntRange(0, 3).Draw(t, name) {
		tag, err := weft.NewTag(drawText(t, "key"), drawText(t, "value"))
		if err != nil {
			t.Fatal(err)
		}
		ts = append(ts, tag)
	}
	return weft.NewTags(ts...)
}

func drawTime(t *rapid.T, name string) time.Time {
	if rapid.Bool().Draw(t, name+" is known") {
		return time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, name))
	}
	return time.Time{}
}

func drawPlan(t *rapid.T) weft.Plan {
	p := weft.Plan{ID: weft.NewID[weft.Plan](), Image: weft.Image{Repository: "trainer", Tag: "v1"}, Args: []string{drawText(t, "arg")}}
	for range rapid.IntRange(0, 2).Draw(t, "inputs") {
		p.Inputs = append(p.Inputs, weft.Input{Path: drawText(t, "path"), Tags: drawTags(t, "tags")})
	}
	for range rapid.IntRange(0, 2).Draw(t, "outputs") {
		p.Outputs = append(p.Outputs, weft.Output{Path: drawText(t, "path"), Tags: drawTags(t, "tags")})
	}
	if rapid.Bool().Draw(t, "log") {
		p.Log = &weft.Log{Tags: drawTags(t, "tags")}
	}
	return p
}

func drawDataID(t *rapid.T) weft.DataID {
	if rapid.Bool().Draw(t, "discarded") {
		return weft.DataID{}
	}
	return weft.NewID[weft.Data]()
}

func drawRun(t *rapid.T, p weft.Plan) weft.RunView {
	r := weft.Run{
		ID: weft.NewID[weft.Run](), Plan: p.ID, Status: rapid.SampledFrom(weft.Statuses).Draw(t, "status"), UpdatedAt: drawTime(t, "updated"),
		CreatedAt: drawTime(t, "created"), StartedAt: drawTime(t, "started"), EndedAt: drawTime(t, "ended"), Log: drawDataID(t),
		Attempt: rapid.Int64Range(0, 3).Draw(t, "attempt"), Cause: weft.Cause{Kind: rapid.SampledFrom([]string{"", weft.CauseRetry}).Draw(t, "cause")},
		Reason: rapid.SampledFrom([]string{"", "needs 3 \"cpu\""}).Draw(t, "reason"), Image: weft.Digest{rapid.Byte().Draw(t, "digest")},
	}
	if rapid.Bool().Draw(t, "ended") {
		r.Exit = weft.NewExit(rapid.Byte().Draw(t, "code"), drawText(t, "message"))
	}
	for _, in := range p.Inputs {
		r.Inputs = append(r.Inputs, weft.Bound{Path: in.Path, Data: drawDataID(t)})
	}
	for _, out := range p.Outputs {
		r.Outputs = append(r.Outputs, weft.Bound{Path: out.Path, Data: drawDataID(t)})
	}
	return weft.RunView{Run: r, Plan: p}
}

func TestListsAreEncodedAsSingleItemsAre(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		enc := newListEncoder()
		plans := []weft.Plan{drawPlan(t), drawPlan(t)}
		for range 2 { // the second time from what is kept
			p := rapid.SampledFrom(plans).Draw(t, "plan")
			run := drawRun(t, p)
			same(t, string(enc.run(nil, run)), appendValue(nil, wireRun(run)))
			v := weft.DataView{
				Data: weft.Data{
					ID: weft.NewID[weft.Data](), Tags: drawTags(t, "tags"), Timestamp: drawTime(t, "timestamp"),
					Tree: weft.Digest{rapid.Byte().Draw(t, "tree")}, Files: rapid.Int64Range(0, 1).Draw(t, "files"), Bytes: rapid.Int64Range(0, 1).Draw(t, "bytes"),
					Source: weft.Source{Run: run.Run.ID, Status: run.Run.Status, Log: rapid.Bool().Draw(t, "is log"), Path: "/elsewhere"},
				},
				Upstream: run,
			}
			if len(p.Outputs) > 0 {
				v.Data.Source.Path = p.Outputs[0].Path
			}
			if rapid.Bool().Draw(t, "of another project") {
				v.From, v.Upstream.Run.ID = &weft.Project{Name: "p" + drawText(t, "project")}, weft.RunID{}
			}
			for range rapid.IntRange(0, 2).Draw(t, "shares") {
				v.To = append(v.To, weft.Project{Name: drawText(t, "project")})
			}
			for _, in := range p.Inputs {
				v.Downstreams = append(v.Downstreams, weft.Use{Input: in, Run: drawRun(t, p)})
				v.Nominations = append(v.Nominations, weft.Nomination{Input: in, Plan: p})
			}
			same(t, string(enc.data(nil, v)), appendValue(nil, wireData(v)))
			d := api.LineageData{KnitID: v.Data.ID.String(), Tags: wireTags(v.Data.AllTags()), RunID: run.Run.ID.String()}
			same(t, string(enc.lineageData(nil, v.Data)), appendValue(nil, d))
		}
	})
}

func same(t *rapid.T, got string, want []byte) {
	t.Helper()
	if got != string(want) {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
}

// BenchmarkEncodeRun tells what one Run of a list or a lineage costs.
func BenchmarkEncodeRun(b *testing.B) {
	p := trainer(b)
	r := weft.NewRun(p, weft.NewID[weft.Run](), weft.Assignment{weft.NewID[weft.Data]()},
		[]weft.DataID{weft.NewID[weft.Data](), weft.NewID[weft.Data](), weft.NewID[weft.Data]()}, weft.Cause{}, time.Now())
	enc := newListEncoder()
	var text []byte
	b.ReportAllocs()
	for b.Loop() {
		text = enc.run(text[:0], weft.RunView{Run: r, Plan: p})
	}
	b.SetBytes(int64(len(text)))
}
