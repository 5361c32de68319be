package store

import (
	"context"
	"slices"

	"github.com/weft-dev/weft"
)

// A choosy delta is that of a Plan which takes the latest only, or pairs its inputs by the
// value of a tag (see weft.Plan.Choices). Pairing is one product per value. What is fresh
// of an input that takes the latest is only what is the latest now: Data that were not
// looked at before a newer one came make no Runs. When Data lose tags, or go, what they
// hid is fresh.

// A part is one of the products that make up a choosy delta, as fresh and fits of a delta.
type part struct {
	value       string // of the tag Pair
	fresh, fits [][]weft.DataID
}

// An arrival is what is fresh at one input of a choosy Plan.
type arrival struct {
	data     []weft.Data
	reopened weft.Tags // of Data that were taken and may have hidden others
	opened   bool
}

// loadChoice is load for a choosy Plan.
func (d *delta) loadChoice(ctx context.Context, t *tx) error {
	d.parts = nil
	if d.full {
		return d.loadAllChoices(ctx, t)
	}
	c := chooser{delta: d, t: t}
	return c.load(ctx)
}

// loadAllChoices makes a part of every choice among all Data.
func (d *delta) loadAllChoices(ctx context.Context, t *tx) error {
	taken := make([][]weft.Data, len(d.plan.Inputs))
	for i := range d.plan.Inputs {
		var err error
		if taken[i], err = t.takenData(ctx, d.plan, i); err != nil {
			return err
		}
		if s := d.supposed; s != nil {
			taken[i] = slices.DeleteFunc(taken[i], func(e weft.Data) bool { return e.ID == s.ID })
			if d.plan.Takes(i, *s) {
				taken[i] = append(taken[i], *s)
			}
		}
	}
	for _, c := range d.plan.Choices(taken) {
		p := part{value: c.Value, fits: make([][]weft.DataID, len(c.Data))}
		for i, list := range c.Data {
			p.fits[i] = idsOfData(list)
			slices.SortFunc(p.fits[i], compareIDs)
			d.noteValues(list)
		}
		d.parts = append(d.parts, p)
	}
	return nil
}

// noteValues remembers which Data may come up in several parts.
func (d *delta) noteValues(data []weft.Data) {
	if d.plan.Pair == "" {
		return
	}
	for _, e := range data {
		if len(e.Values(d.plan.Pair)) > 1 {
			if d.several == nil {
				d.several = map[weft.DataID]bool{}
			}
			d.several[e.ID] = true
		}
	}
}

// A chooser finds out what some arrivals make possible.
type chooser struct {
	*delta
	t      *tx
	fresh  [][]weft.Data                // per input: the arrivals that are the latest, where that counts
	ofPair []map[string]weft.DataID     // per input that takes the latest by Pair: which that is, by value
	all    map[int][]weft.Data          // per input that takes the latest by another key: all these
	tops   map[int]*weft.Data           // per input that takes the latest of all: this
	taken  map[int]map[weft.DataID]bool // per input: what is in fresh
}

func (c *chooser) load(ctx context.Context) error {
	n := len(c.plan.Inputs)
	c.fresh, c.ofPair = make([][]weft.Data, n), make([]map[string]weft.DataID, n)
	c.all, c.tops, c.taken = map[int][]weft.Data{}, map[int]*weft.Data{}, map[int]map[weft.DataID]bool{}
	for i := range c.plan.Inputs {
		if err := c.choose(ctx, i); err != nil {
			return err
		}
		c.noteValues(c.fresh[i])
	}
	values := []string{""}
	if c.plan.Pair != "" {
		values = values[:0]
		for _, list := range c.fresh {
			for _, e := range list {
				values = append(values, e.Values(c.plan.Pair)...)
			}
		}
		slices.Sort(values)
		values = slices.Compact(values)
	}
	for _, v := range values {
		if err := c.addPart(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

// choose leaves of an input's arrivals those that are the latest.
func (c *chooser) choose(ctx context.Context, nth int) error {
	latest, a := c.plan.Inputs[nth].Latest, &c.arrived[nth]
	if latest.IsZero() {
		for _, e := range a.data {
			c.take(nth, e)
		}
		return nil
	}
	if len(a.data) == 0 && !a.opened {
		return nil
	}
	if latest.By == "" {
		e, err := c.top(ctx, nth)
		if e != nil && (a.opened || slices.ContainsFunc(a.data, func(f weft.Data) bool { return f.ID == e.ID })) {
			c.take(nth, *e)
		}
		return err
	}
	open := map[string]bool{}
	for _, e := range a.data {
		for _, v := range e.Values(latest.By) {
			open[v] = open[v]
		}
	}
	for _, tag := range a.reopened.Key(latest.By) {
		open[tag.Value()] = true
	}
	if latest.By == c.plan.Pair {
		c.ofPair[nth] = map[string]weft.DataID{}
	}
	for v, reopened := range open {
		tag, err := weft.NewTag(latest.By, v)
		if err != nil {
			return err
		}
		e, found, err := c.t.newest(ctx, c.plan, nth, tag)
		if err != nil {
			return err
		}
		if found && (reopened || slices.ContainsFunc(a.data, func(f weft.Data) bool { return f.ID == e.ID })) {
			c.take(nth, e)
			if c.ofPair[nth] != nil {
				c.ofPair[nth][v] = e.ID
			}
		}
	}
	return nil
}

func (c *chooser) take(nth int, e weft.Data) {
	if c.taken[nth] == nil {
		c.taken[nth] = map[weft.DataID]bool{}
	}
	if !c.taken[nth][e.ID] {
		c.taken[nth][e.ID] = true
		c.fresh[nth] = append(c.fresh[nth], e)
	}
}

// top returns the latest of all that an input takes; nil when there is none.
func (c *chooser) top(ctx context.Context, nth int) (*weft.Data, error) {
	if e, known := c.tops[nth]; known {
		return e, nil
	}
	e, found, err := c.t.newest(ctx, c.plan, nth)
	if err != nil {
		return nil, err
	}
	c.tops[nth] = nil
	if found {
		c.tops[nth] = &e
	}
	return c.tops[nth], nil
}

// addPart adds the combinations with a value of the tag that pairs.
func (c *chooser) addPart(ctx context.Context, value string) error {
	p := part{value: value, fresh: make([][]weft.DataID, len(c.fresh)), fits: make([][]weft.DataID, len(c.fresh))}
	for i, list := range c.fresh {
		for _, e := range list {
			if c.joins(i, e, value) {
				p.fresh[i] = append(p.fresh[i], e.ID)
			}
		}
		slices.SortFunc(p.fresh[i], compareIDs)
	}
	for i := range p.fits {
		if !others(p.fresh, i) {
			continue
		}
		found, err := c.fitting(ctx, i, value)
		if err != nil {
			return err
		}
		p.fits[i] = idsOfData(found)
		slices.SortFunc(p.fits[i], compareIDs)
		c.noteValues(found)
	}
	c.parts = append(c.parts, p)
	return nil
}

// joins reports whether what is fresh at an input is in the part of a value.
func (c *chooser) joins(nth int, e weft.Data, value string) bool {
	switch {
	case c.plan.Pair == "":
		return true
	case c.ofPair[nth] != nil:
		return c.ofPair[nth][value] == e.ID
	}
	return slices.Contains(e.Values(c.plan.Pair), value)
}

// fitting returns all that an input takes of the Data with a value.
func (c *chooser) fitting(ctx context.Context, nth int, value string) ([]weft.Data, error) {
	var also []weft.Tag
	if c.plan.Pair != "" {
		tag, err := weft.NewTag(c.plan.Pair, value)
		if err != nil {
			return nil, err
		}
		also = append(also, tag)
	}
	switch latest := c.plan.Inputs[nth].Latest; {
	case latest.IsZero():
		return c.t.takenData(ctx, c.plan, nth, also...)
	case latest.By == "":
		e, err := c.top(ctx, nth)
		if e == nil || !e.Tags.HasAll(also) {
			return nil, err
		}
		return []weft.Data{*e}, err
	case latest.By == c.plan.Pair:
		e, found, err := c.t.newest(ctx, c.plan, nth, also...)
		if !found {
			return nil, err
		}
		return []weft.Data{e}, err
	default:
		if _, known := c.all[nth]; !known {
			taken, err := c.t.takenData(ctx, c.plan, nth)
			if err != nil {
				return nil, err
			}
			c.all[nth] = latest.Of(taken)
		}
		return slices.DeleteFunc(slices.Clone(c.all[nth]), func(e weft.Data) bool { return !e.Tags.HasAll(also) }), nil
	}
}

// once returns a function that tells whether a combination comes up for the first time.
// Only one whose Data have several values each can come up in several parts.
func (d *delta) once() func(weft.Assignment) bool {
	if len(d.several) == 0 {
		return func(weft.Assignment) bool { return true }
	}
	seen := map[string]bool{}
	return func(a weft.Assignment) bool {
		for _, id := range a {
			if !d.several[id] {
				return true
			}
		}
		key := string(a.Key())
		if seen[key] {
			return false
		}
		seen[key] = true
		return true
	}
}

// fewEnough is up to how many combinations those that come up in several parts are told
// from others one by one; beyond, each counts as often as it comes up.
const fewEnough = 2_000_000

// inAny returns a function that tells whether a combination, as stored, is in any of the
// products.
func inAny(terms [][][]weft.DataID) func(inputs []byte) bool {
	if len(terms) <= 4 {
		return func(inputs []byte) bool {
			return slices.ContainsFunc(terms, func(lists [][]weft.DataID) bool { return inProduct(lists, inputs) })
		}
	}
	byFirst := map[weft.DataID][]int{}
	for i, lists := range terms {
		for _, id := range lists[0] {
			byFirst[id] = append(byFirst[id], i)
		}
	}
	return func(inputs []byte) bool {
		return slices.ContainsFunc(byFirst[idAt[weft.Data](inputs, 0)], func(i int) bool { return inProduct(terms[i], inputs) })
	}
}

// hid reports whether a Data that has or had some tags may have kept others from being
// taken by an input, before it lost some of them.
func hid(in weft.Input, had, lost weft.Tags) bool {
	if !had.HasAll(in.Tags.User()) {
		return false
	}
	for _, tag := range lost {
		if tag.Key() == in.Latest.By && in.Latest.By != "" || in.Tags.Has(tag) {
			return true
		}
	}
	return false
}
