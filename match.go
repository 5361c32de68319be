package weft

import (
	"slices"
	"time"
)

// Fits reports whether d can be mounted at in: it is usable and has all of in's
// tags. An input without tags fits nothing.
func (in Input) Fits(d Data) bool {
	return len(in.Tags) > 0 && d.Usable() && d.AllTags().HasAll(in.Tags)
}

// Misses returns the tags of in that d lacks, for telling why they do not match.
func (in Input) Misses(d Data) Tags {
	all := d.AllTags()
	return in.Tags.filter(func(t Tag) bool { return !all.Has(t) })
}

// An Assignment is one Data per input of a Plan, in the order of its inputs.
type Assignment []DataID

// Key returns the bytes under which a Plan's Runs are unique: the ids in order.
// As a normalized Plan's inputs are sorted by distinct paths, this is the canonical
// form of the sorted (input, Data) pairs.
func (a Assignment) Key() []byte {
	key := make([]byte, 0, 16*len(a))
	for _, id := range a {
		key = append(key, id[:]...)
	}
	return key
}

// Takes reports whether d fits the nth input of p, and is among the Data that p is
// about: with FromNow those that became usable after it was registered.
func (p Plan) Takes(nth int, d Data) bool { return d.Epoch >= p.Since && p.Inputs[nth].Fits(d) }

// Match returns every assignment of data to p's inputs: the product of what each takes
// or, with Latest and Pair, of what the Choices leave of it. One Data may fill several
// inputs. This is the definition; the store finds the same assignments, less those that
// exist, in proportion to what is new.
func Match(p Plan, data []Data) []Assignment {
	if len(p.Inputs) == 0 {
		return nil
	}
	fits := make([][]Data, len(p.Inputs))
	for i := range p.Inputs {
		for _, d := range data {
			if p.Takes(i, d) {
				fits[i] = append(fits[i], d)
			}
		}
	}
	var all []Assignment
	seen := map[string]bool{}
	for _, c := range p.Choices(fits) {
		for _, a := range product(c.Data) {
			if key := string(a.Key()); !seen[key] {
				seen[key] = true
				all = append(all, a)
			}
		}
	}
	return all
}

func product(lists [][]Data) []Assignment {
	found := []Assignment{nil}
	for _, list := range lists {
		var longer []Assignment
		for _, d := range list {
			for _, a := range found {
				longer = append(longer, append(slices.Clone(a), d.ID))
			}
		}
		found = longer
	}
	return found
}

// DefaultRunLimit is how many Runs a Plan may have pending before it is blocked.
const DefaultRunLimit = 100_000

// NewRun returns the Run of p over a, as projection makes it. The ids of its outputs
// and, last, of its log are given by the caller, as many as p.OutputTags has.
func NewRun(p Plan, id RunID, a Assignment, outputs []DataID, cause Cause, now time.Time) Run {
	r := Run{ID: id, Project: p.Project, Plan: p.ID, Status: Waiting, Rev: 1, Attempt: 1, CreatedAt: now, UpdatedAt: now, Cause: cause}
	switch {
	case p.BuiltIn():
		r.Status = Running
	case !p.Active:
		r.Status = Deactivated
	}
	for i, in := range p.Inputs {
		r.Inputs = append(r.Inputs, Bound{in.Path, a[i]})
	}
	for i, out := range p.Outputs {
		r.Outputs = append(r.Outputs, Bound{out.Path, outputs[i]})
	}
	if p.Log != nil {
		r.Log = outputs[len(p.Outputs)]
	}
	return r
}
