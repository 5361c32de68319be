package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"iter"
	"math"
	"math/bits"
	"slices"

	"github.com/weft-dev/weft"
)

// A delta is the combinations of a Plan that some changes may have made possible. With
// full it is all combinations of what fits. Otherwise it is those with one of the fresh
// Data at an input: for each input i, the product of fresh[i], of what fits the inputs
// before i but is not fresh there, and of what fits the inputs behind i. So each
// combination comes up once, at the first input that has something fresh.
type delta struct {
	plan  weft.Plan
	full  bool
	after []byte          // with full: only what comes behind this assignment
	seq   int64           // with full: the change, to record there how far it went; 0: none
	fresh [][]weft.DataID // per input, by id
	fits  [][]weft.DataID // per input, by id, fresh ones included; filled by load

	supposed *weft.Data // for dry runs: the Data as it is to be

	arrived []arrival            // of a choosy Plan, in place of fresh
	parts   []part               // of a choosy Plan, in place of fresh and fits; filled by load
	several map[weft.DataID]bool // Data that may come up in several parts
}

// load finds what fits the inputs, as far as it matters; the first few of each, if limit
// is not 0.
func (d *delta) load(ctx context.Context, t *tx, limit int) error {
	if d.plan.Choosy() {
		return d.loadChoice(ctx, t)
	}
	d.fits = make([][]weft.DataID, len(d.plan.Inputs))
	for i := range d.plan.Inputs {
		if !d.full && !others(d.fresh, i) {
			continue
		}
		var err error
		if d.fits[i], err = t.candidates(ctx, d.plan, i, limit); err != nil {
			return err
		}
	}
	return nil
}

// others reports whether any input but i has something fresh.
func others(fresh [][]weft.DataID, i int) bool {
	for j, ids := range fresh {
		if j != i && len(ids) > 0 {
			return true
		}
	}
	return false
}

// terms returns the products that make up the delta: per term one list per input.
func (d *delta) terms() [][][]weft.DataID {
	if !d.plan.Choosy() {
		return termsOf(d.full, d.fresh, d.fits)
	}
	var terms [][][]weft.DataID
	for _, p := range d.parts {
		terms = append(terms, termsOf(d.full, p.fresh, p.fits)...)
	}
	return terms
}

func termsOf(full bool, fresh, fits [][]weft.DataID) [][][]weft.DataID {
	if full {
		return [][][]weft.DataID{fits}
	}
	var terms [][][]weft.DataID
	for i := range fresh {
		if len(fresh[i]) == 0 {
			continue
		}
		lists := make([][]weft.DataID, len(fits))
		for j := range lists {
			switch {
			case j < i:
				lists[j] = lessIDs(fits[j], fresh[j])
			case j == i:
				lists[j] = fresh[i]
			default:
				lists[j] = fits[j]
			}
		}
		terms = append(terms, lists)
	}
	return terms
}

// lessIDs returns what is in one list by id and not in the other.
func lessIDs(ids, gone []weft.DataID) []weft.DataID {
	if len(gone) == 0 {
		return ids
	}
	out := make([]weft.DataID, 0, len(ids))
	for _, id := range ids {
		if _, ok := slices.BinarySearchFunc(gone, id, compareIDs); !ok {
			out = append(out, id)
		}
	}
	return out
}

// count returns how many combinations the delta has, existing ones included.
func (d *delta) count() int64 {
	total := int64(0)
	for _, lists := range d.terms() {
		n := int64(1)
		for _, ids := range lists {
			n = times(n, int64(len(ids)))
		}
		if total += n; total < 0 {
			return math.MaxInt64
		}
	}
	if len(d.several) > 0 && total <= fewEnough {
		total = 0
		for range d.assignments() {
			total++
		}
	}
	return total
}

// countAll returns how many combinations a full delta has, without loading it.
func (d *delta) countAll(ctx context.Context, t *tx) (int64, error) {
	total := int64(1)
	for i := range d.plan.Inputs {
		n, err := t.countCandidates(ctx, d.plan, i)
		if err != nil {
			return 0, err
		}
		total = times(total, n)
	}
	return total, nil
}

// times multiplies, up to the largest number.
func times(a, b int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi > 0 || lo > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(lo)
}

// inProduct reports whether a combination, as stored, is in the product of the lists.
func inProduct(lists [][]weft.DataID, inputs []byte) bool {
	if len(inputs) != idLen*len(lists) {
		return false
	}
	for i, ids := range lists {
		if _, ok := slices.BinarySearchFunc(ids, idAt[weft.Data](inputs, i), compareIDs); !ok {
			return false
		}
	}
	return true
}

// assignments yields the combinations, in the order of their keys within a term.
func (d *delta) assignments() iter.Seq[weft.Assignment] {
	return func(yield func(weft.Assignment) bool) {
		first := d.once()
		each := func(a weft.Assignment) bool { return !first(a) || yield(a) }
		for _, lists := range d.terms() {
			if !product(lists, d.after, each) {
				return
			}
		}
	}
}

// product yields the combinations behind after, until yield has enough.
func product(lists [][]weft.DataID, after []byte, yield func(weft.Assignment) bool) bool {
	if len(lists) == 0 || slices.ContainsFunc(lists, func(ids []weft.DataID) bool { return len(ids) == 0 }) {
		return true
	}
	at := make([]int, len(lists))
	for i, ids := range lists {
		if len(after) > 0 {
			found := false
			at[i], found = slices.BinarySearchFunc(ids, idAt[weft.Data](after, i), compareIDs)
			if !found { // what comes next at this input is behind, whatever the rest is
				after = nil
				if at[i] == len(ids) && !step(lists, at, i) {
					return true
				}
			}
		}
	}
	for {
		a := make(weft.Assignment, len(lists))
		for i := range lists {
			a[i] = lists[i][at[i]]
		}
		if len(after) == 0 || bytes.Compare(a.Key(), after) > 0 {
			if !yield(a) {
				return false
			}
		}
		if !step(lists, at, len(lists)) {
			return true
		}
	}
}

// step moves on the combination at the inputs before n, and reports whether there is a
// further one. Everything from n on begins anew.
func step(lists [][]weft.DataID, at []int, n int) bool {
	for i := n; i < len(at); i++ {
		at[i] = 0
	}
	for i := n - 1; i >= 0; i-- {
		if at[i]++; at[i] < len(lists[i]) {
			return true
		}
		at[i] = 0
	}
	return false
}

// untried reports whether the Plan has no Runs yet, so that every combination is missing.
func (d *delta) untried(ctx context.Context, t *tx) (bool, error) {
	found, err := t.row(ctx, "SELECT id FROM run WHERE plan = $1 LIMIT 1", []any{d.plan.ID}, new(weft.RunID))
	return !found, err
}

// existing counts the Runs of a registered Plan whose combinations are in the delta.
func (d *delta) existing(ctx context.Context, t *tx) (int64, error) {
	n := int64(0)
	inside := inAny(d.terms())
	count := func(r scanner) error {
		var inputs []byte
		if err := r.Scan(&inputs); err != nil {
			return err
		}
		if inside(inputs) {
			n++
		}
		return nil
	}
	if d.full {
		err := t.rows(ctx, count, "SELECT inputs FROM run WHERE plan = $1", d.plan.ID)
		return n, err
	}
	var fresh []weft.DataID
	for _, ids := range d.fresh {
		fresh = append(fresh, ids...)
	}
	for _, p := range d.parts {
		fresh = append(fresh, slices.Concat(p.fresh...)...)
	}
	slices.SortFunc(fresh, compareIDs)
	fresh = slices.Compact(fresh)
	seen := map[weft.RunID]bool{}
	err := t.byIDs(ctx, "SELECT r.id, r.plan, r.inputs FROM run_input i JOIN run r ON r.id = i.run WHERE i.data IN", raw(fresh...), "", func(r scanner) error {
		var run weft.RunID
		var plan weft.PlanID
		var inputs []byte
		if err := r.Scan(&run, &plan, &inputs); err != nil || plan != d.plan.ID || seen[run] {
			return err
		}
		seen[run] = true
		if inside(inputs) {
			n++
		}
		return nil
	})
	return n, err
}

// combination is under what the inputs of a Run are unique within its Plan: the ids one
// after another or, to keep the index small, a digest of them.
func combination(inputs []byte) []byte {
	switch {
	case len(inputs) == 0:
		return nil
	case len(inputs) <= sha256.Size:
		return inputs
	}
	sum := sha256.Sum256(inputs)
	return sum[:]
}
