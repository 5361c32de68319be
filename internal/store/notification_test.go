package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/weft-dev/weft"
)

// A rule is kept as it was made; what it has to tell is told once.
func TestNotifications(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		n := weft.Notification{ID: weft.NewID[weft.Notification](), Project: w.project, On: []weft.Occasion{weft.OnFailed, weft.OnWaiting}, Plans: []string{"p"},
			Tags: w.tags("a:b"), After: time.Hour, Mail: []string{"a@b.test"}, Host: "h.test", Signed: true, By: w.by}
		if err := w.s.CreateNotification(ctx, n, []byte("sealed")); err != nil {
			w.Fatal(err)
		}
		rules := must(w.s.Notifications(ctx, w.project))(w)
		if len(rules) != 1 || string(rules[0].Sealed) != "sealed" || rules[0].CreatedAt.IsZero() || !slices.Equal(rules[0].On, n.On) || rules[0].After != n.After ||
			!rules[0].Tags.Has(n.Tags[0]) || rules[0].Host != n.Host || !rules[0].Signed || rules[0].By != w.by {
			w.Errorf("rules %+v", rules)
		}
		at := time.Now().UTC().Truncate(time.Microsecond)
		notice := weft.Notice{Rule: n.ID, Run: weft.NewID[weft.Run](), Attempt: 1, On: weft.OnFailed, At: at, Plan: "p", Text: "exit code 1"}
		second := notice
		second.Attempt, second.At = 2, at.Add(time.Second)
		begin := must(w.s.Follow(ctx, weft.FollowerNotify))(w)
		to := weft.Cursor{Xid: begin.Xid, Seq: begin.Seq + 1}
		for range 2 { // the second time says nothing new
			if err := w.s.AddNotices(ctx, []weft.Notice{notice, second}, to); err != nil {
				w.Fatal(err)
			}
		}
		if c := must(w.s.Follow(ctx, weft.FollowerNotify))(w); c != to {
			w.Errorf("the follower is at %v, not %v", c, to)
		}
		if open := must(w.s.OpenNotices(ctx, n.ID, 10))(w); len(open) != 2 || open[0] != notice || open[1] != second {
			w.Errorf("to be told: %+v", open)
		}
		if err := w.s.NotTold(ctx, n.ID, "answered 500", at.Add(time.Minute)); err != nil {
			w.Fatal(err)
		}
		if r := must(w.s.Notifications(ctx, weft.ProjectID{}))(w)[0]; r.Tries != 1 || r.Error != "answered 500" || !r.Next.Equal(at.Add(time.Minute)) {
			w.Errorf("the rule is %+v", r)
		}
		if err := w.s.Told(ctx, n.ID, []weft.Notice{notice}, at.Add(time.Hour)); err != nil {
			w.Fatal(err)
		}
		if r := must(w.s.Notifications(ctx, w.project))(w)[0]; r.Tries != 0 || r.Error != "" || !r.Next.Equal(at.Add(time.Hour)) {
			w.Errorf("the rule is %+v", r)
		}
		if err := w.s.AddNotices(ctx, []weft.Notice{notice}, weft.Cursor{}); err != nil {
			w.Fatal(err)
		}
		if open := must(w.s.OpenNotices(ctx, n.ID, 10))(w); len(open) != 1 || open[0] != second {
			w.Errorf("to be told: %+v", open)
		}
		if err := w.s.Unfollow(ctx, weft.FollowerNotify); err != nil { // there is a rule: it stays
			w.Fatal(err)
		}
		if c := must(w.s.Follow(ctx, weft.FollowerNotify))(w); c != to {
			w.Errorf("the follower is at %v, not %v", c, to)
		}
		w.wantKind(w.s.DeleteNotification(ctx, weft.NewID[weft.Project](), n.ID), weft.NotFound)
		if err := w.s.DeleteNotification(ctx, w.project, n.ID); err != nil {
			w.Fatal(err)
		}
		if open := must(w.s.OpenNotices(ctx, n.ID, 10))(w); len(open) != 0 {
			w.Errorf("to be told: %+v", open)
		}
		w.wantKind(w.s.DeleteNotification(ctx, w.project, n.ID), weft.NotFound)
	})
}

func TestAProjectHasSoManyNotifications(t *testing.T) {
	eachWorld(t, func(w *world) {
		for range weft.MaxNotifications {
			if err := w.s.CreateNotification(w.Context(), weft.Notification{ID: weft.NewID[weft.Notification](), Project: w.project}, nil); err != nil {
				w.Fatal(err)
			}
		}
		w.wantKind(w.s.CreateNotification(w.Context(), weft.Notification{ID: weft.NewID[weft.Notification](), Project: w.project}, nil), weft.TooLarge)
	})
}
