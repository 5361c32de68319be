package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/weft-dev/weft"
)

// A pastBody is how an attempt that lies behind is kept.
type pastBody struct {
	StartedAt int64             `json:"started,omitempty"` // in microseconds
	EndedAt   int64             `json:"ended,omitempty"`
	Status    weft.Status       `json:"status"`
	Exit      *weft.Exit        `json:"exit,omitempty"`
	End       weft.End          `json:"end,omitempty"`
	Image     []byte            `json:"image,omitempty"`
	Node      string            `json:"node,omitempty"`
	Resources map[string]string `json:"resources,omitempty"`
	Outputs   []weft.DataID     `json:"outputs,omitempty"`
	Log       weft.DataID       `json:"log,omitzero"`
	Cause     weft.Cause        `json:"cause"`
}

func microsOrZero(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return micros(t)
}

func timeOrZero(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return fromMicros(us)
}

// keepPast records the attempt of a Run that is about to be tried again or deleted, with
// the log it left, which stays.
func (t *tx) keepPast(ctx context.Context, r weft.Run) error {
	p := r.Past()
	b := pastBody{StartedAt: microsOrZero(p.StartedAt), EndedAt: microsOrZero(p.EndedAt), Status: p.Status, Exit: p.Exit, End: p.End,
		Node: p.Node, Log: p.Log, Cause: p.Cause}
	if !p.Image.IsZero() {
		b.Image = p.Image[:]
	}
	if p.Resources != nil {
		b.Resources = p.Resources.Strings()
	}
	for _, o := range p.Outputs {
		b.Outputs = append(b.Outputs, o.Data)
	}
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	var log weft.Digest
	if !p.Log.IsZero() {
		if _, err := t.row(ctx, "SELECT tree FROM data WHERE id = $1", []any{p.Log}, &log); err != nil {
			return err
		}
	}
	_, err = t.exec(ctx, "INSERT INTO run_attempt (run, number, body, log) VALUES ($1, $2, $3, $4) ON CONFLICT (run, number) DO NOTHING",
		r.ID, r.Attempt, string(text), digestOrNull(log))
	return err
}

// recall adds to a single Run what lists leave out.
func (t *tx) recall(ctx context.Context, v *weft.RunView) error {
	err := t.rows(ctx, func(r scanner) error {
		var p weft.Past
		var text string
		if err := r.Scan(&p.Number, &text, &p.LogTree); err != nil {
			return err
		}
		var b pastBody
		if err := json.Unmarshal([]byte(text), &b); err != nil {
			return fmt.Errorf("attempt %d of run %s: %w", p.Number, v.Run.ID, err)
		}
		p.StartedAt, p.EndedAt, p.Status, p.Exit, p.End = timeOrZero(b.StartedAt), timeOrZero(b.EndedAt), b.Status, b.Exit, b.End
		p.Node, p.Log, p.Cause = b.Node, b.Log, b.Cause
		copy(p.Image[:], b.Image)
		for i, id := range b.Outputs {
			o := weft.Bound{Data: id}
			if i < len(v.Plan.Outputs) {
				o.Path = v.Plan.Outputs[i].Path
			}
			p.Outputs = append(p.Outputs, o)
		}
		var err error
		if b.Resources != nil {
			p.Resources, err = weft.ParseResources(b.Resources)
		}
		v.Past = append(v.Past, p)
		return err
	}, "SELECT number, body, log FROM run_attempt WHERE run = $1 ORDER BY number", v.Run.ID)
	if err != nil || v.Run.Cause.By.IsZero() {
		return err
	}
	_, err = t.row(ctx, "SELECT name FROM principal WHERE id = $1", []any{v.Run.Cause.By}, &v.By)
	return err
}

// tryAgain has the Runs that failed by one of the saves, and are to be tried again by
// themselves, wait for that.
func (t *tx) tryAgain(ctx context.Context, saves []*weft.Save) error {
	for _, v := range saves {
		if v.Run.Status != weft.Failed || v.Again.IsZero() {
			continue
		}
		r := v.Run
		r.Cause.Kind, r.Cause.By = weft.CauseAgain, weft.PrincipalID{}
		if err := t.anotherAttempt(ctx, v.Run, r, v.Why, weft.PrincipalID{}, v.Again); err != nil {
			return fmt.Errorf("try again: %w", err)
		}
	}
	return nil
}

// anotherAttempt makes another attempt of a Run that has ended: as it is, and as it is
// with the cause and the retries that the next attempt is to have.
func (t *tx) anotherAttempt(ctx context.Context, was, r weft.Run, why string, by weft.PrincipalID, due time.Time) error {
	p, err := t.plan(ctx, r.Project, r.Plan, t.s.forShare)
	if err != nil {
		return err
	}
	switch {
	case p.Live():
	case r.Cause.Kind == weft.CauseAgain: // its plan makes no more runs, and so no more attempts
		return nil
	default:
		return weft.Errorf(weft.Conflict, "run %s is of the plan %s, which is %s; it cannot be retried", r.ID, p.ID, p.State).
			WithAdvice("apply the plan's file again; what it has not run yet runs then")
	}
	var inputs []weft.DataID
	for _, in := range r.Inputs {
		inputs = append(inputs, in.Data)
	}
	missing, err := t.missingShares(ctx, r.Project, inputs, t.s.forKeep)
	switch {
	case err != nil:
		return err
	case len(missing) > 0 && r.Cause.Kind == weft.CauseAgain:
		return nil
	case len(missing) > 0:
		return weft.Errorf(weft.Conflict, "run %s cannot be retried: data %s is not shared with this project any more", r.ID, missing[0])
	}
	status := weft.Deactivated
	if p.Active {
		status = weft.Waiting
	}
	next, err := r.To(status, t.now)
	if err != nil {
		return err
	}
	if err := t.keepPast(ctx, was); err != nil {
		return err
	}
	if err := t.discardOutputs(ctx, was, by); err != nil {
		return err
	}
	next.Outputs = slices.Clone(next.Outputs)
	for i := range next.Outputs {
		next.Outputs[i].Data = weft.NewID[weft.Data]()
	}
	if p.Log != nil {
		next.Log = weft.NewID[weft.Data]()
	}
	next.Reason, next.Retries = why, 0
	if next.Cause.Kind == weft.CauseAgain {
		next.Retries = was.Retries + 1
	}
	if status == weft.Deactivated {
		due = time.Time{}
	}
	if err := t.changeRun(ctx, was, next, by, due); err != nil {
		return err
	}
	return t.insertOutputs(ctx, []weft.Run{next}, map[weft.PlanID]weft.Plan{p.ID: p})
}

// causeOf is what is stored of a Cause beside its kind and its user: the Data, or the
// Plan, which is the Run's own.
func causeOf(r *weft.Run) any {
	if !r.Cause.Plan.IsZero() {
		return r.Plan[:]
	}
	return idOrNull(r.Cause.Data)
}

// causedBy reads what causeOf has made.
func (row *runRow) causedBy(of []byte) {
	switch {
	case len(of) != idLen:
	case weft.PlanID(of) == row.Plan:
		row.Cause.Plan = row.Plan
	default:
		row.Cause.Data = weft.DataID(of)
	}
}

func encodeResources(rs weft.Resources) (any, error) {
	if rs == nil {
		return nil, nil
	}
	text, err := json.Marshal(rs.Strings())
	return string(text), err
}

func decodeResources(text string) (weft.Resources, error) {
	if text == "" {
		return nil, nil
	}
	var texts map[string]string
	if err := json.Unmarshal([]byte(text), &texts); err != nil {
		return nil, fmt.Errorf("resources of a run: %w", err)
	}
	return weft.ParseResources(texts)
}

// cause says which of the changes that are looked at made an assignment possible: that of
// the newest of its Data that changed or, where none did, that of the Plan.
func (w *projector) cause(d *delta, a weft.Assignment) weft.Cause {
	c := weft.Cause{Kind: weft.CauseProjection}
	if w.by == nil {
		w.by = map[weft.DataID]weft.PrincipalID{}
		for _, ch := range w.changes {
			if !ch.data.IsZero() {
				w.by[ch.data] = ch.by
			}
		}
	}
	for i := len(w.changes) - 1; i >= 0 && d.full; i-- {
		if w.changes[i].plan == d.plan.ID {
			c.Plan, c.By = d.plan.ID, w.changes[i].by
			return c
		}
	}
	for _, id := range a {
		if by, changed := w.by[id]; changed && (c.Data.IsZero() || compareIDs(id, c.Data) > 0) {
			c.Data, c.By = id, by
		}
	}
	return c
}
