package store_test

import (
	"testing"
	"time"

	"github.com/weft-dev/weft"
)

// A follower begins with what is new, and its place and what it could not deliver are kept.
func TestFollowers(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		w.push("a:b")
		begin := must(w.s.Follow(ctx, "after:x"))(w)
		if again := must(w.s.Follow(ctx, "after:x"))(w); again != begin {
			w.Errorf("it begins at %v, and then at %v", begin, again)
		}
		at := time.Now().UTC().Truncate(time.Microsecond)
		d := weft.Delivery{Cursor: weft.Cursor{Xid: 7, Seq: 8}, Run: weft.NewID[weft.Run](), Body: []byte("body"), Tries: 1, At: at, Due: at, Error: "503"}
		dead := weft.Delivery{Cursor: weft.Cursor{Xid: 7, Seq: 9}, Run: d.Run, Body: []byte("b2"), Tries: 9, At: at, Error: "500"}
		to := weft.Cursor{Xid: begin.Xid, Seq: begin.Seq + 1}
		if err := w.s.Advance(ctx, "after:x", to, []weft.Delivery{d, dead}); err != nil {
			w.Fatal(err)
		}
		if c := must(w.s.Follow(ctx, "after:x"))(w); c != to {
			w.Errorf("it is at %v, not %v", c, to)
		}
		ds := must(w.s.Deliveries(ctx, "after:x", 10))(w)
		if len(ds) != 1 || ds[0].Cursor != d.Cursor || ds[0].Run != d.Run || string(ds[0].Body) != "body" || !ds[0].Due.Equal(at) || ds[0].Error != "503" {
			w.Errorf("deliveries are %+v", ds)
		}
		if waiting, gone, err := w.s.DeliveryCounts(ctx, "after:x"); waiting != 1 || gone != 1 || err != nil {
			w.Errorf("%d wait, %d are given up, %v", waiting, gone, err)
		}
		if n := must(w.s.ReviveDeliveries(ctx, "after:x"))(w); n != 1 {
			w.Errorf("%d are revived", n)
		}
		d.Tries, d.Due = 2, at.Add(time.Hour)
		if err := w.s.Redelivered(ctx, "after:x", []weft.Cursor{dead.Cursor}, []weft.Delivery{d}); err != nil {
			w.Fatal(err)
		}
		if ds := must(w.s.Deliveries(ctx, "after:x", 10))(w); len(ds) != 1 || ds[0].Tries != 2 || !ds[0].Due.Equal(d.Due) {
			w.Errorf("deliveries are %+v", ds)
		}
		if err := w.s.KeepFollowers(ctx, []string{"after:y"}); err != nil {
			w.Fatal(err)
		}
		w.wantKind(w.s.Advance(ctx, "after:x", to, nil), weft.Conflict)
		if ds := must(w.s.Deliveries(ctx, "after:x", 10))(w); len(ds) != 0 {
			w.Errorf("deliveries are %+v", ds)
		}
	})
}

// Variables that hooks gave are there until the attempt runs, and an event tells the attempt.
func TestEnvOfHooks(t *testing.T) {
	eachWorld(t, func(w *world) {
		p := w.plan("type:csv -> type:model")
		w.push("type:csv")
		w.projection()
		r := w.become(w.runs(p.ID)[0].ID, weft.Ready)
		next, err := r.To(weft.Starting, time.Now())
		if err != nil {
			w.Fatal(err)
		}
		if err := w.s.SaveRuns(w.Context(), []weft.Save{{Run: next, Rev: r.Rev, Env: []byte("sealed")}})[0]; err != nil {
			w.Fatal(err)
		}
		if env := must(w.s.RunEnv(w.Context(), next.Current()))(w); string(env) != "sealed" {
			w.Errorf("variables are %q", env)
		}
		w.become(r.ID, weft.Running)
		if env := must(w.s.RunEnv(w.Context(), next.Current()))(w); env != nil {
			w.Errorf("variables of a running run are %q", env)
		}
	})
}
