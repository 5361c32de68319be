package store

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weft-dev/weft"
)

// Postings hold what was added, however it was, and conjunctions are what sets say.
func TestPostings(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, want := newPostings(), map[tagKey]map[uint32]bool{}
		numbers := rapid.SliceOfN(rapid.Uint32Range(1, 60), 1, 40)
		for tag := range byte(3) {
			list := numbers.Draw(t, "numbers")
			key := tagKey{tag}
			want[key] = map[uint32]bool{}
			if rapid.Bool().Draw(t, "in bulk") {
				p.bulk(key, slices.Clone(list))
			}
			for _, n := range list {
				p.add(key, n)
				want[key][n] = true
			}
		}
		size := 0
		for key, set := range want {
			size += len(set)
			if got := p.list(key); len(got) != len(set) || !slices.IsSorted(got) {
				t.Fatalf("%v has %v; want %v", key, got, set)
			}
		}
		if p.size != size {
			t.Fatalf("the size is %d; want %d", p.size, size)
		}
		var both []uint32
		for n := range uint32(61) {
			if want[tagKey{0}][n] && want[tagKey{1}][n] && want[tagKey{2}][n] {
				both = append(both, n)
			}
		}
		if got := p.all([]tagKey{{0}, {1}, {2}}); !slices.Equal(got, both) {
			t.Fatalf("all three have %v; want %v", got, both)
		}
		if got := p.all([]tagKey{{0}, {9}}); len(got) != 0 {
			t.Fatalf("a tag that nothing has selects %v", got)
		}
	})
}

// A page of keys is the beginning of what sorting all of them gives.
func TestKeysInTurn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := rapid.Custom(func(t *rapid.T) dataPos {
			return dataPos{rapid.Int64Range(0, 9).Draw(t, "time"), weft.DataID{rapid.Byte().Draw(t, "id")}}
		})
		keys := rapid.SliceOfNDistinct(draw, 0, 200, rapid.ID).Draw(t, "keys")
		order := func(a, b dataPos) int { return a.compare(b) }
		if rapid.Bool().Draw(t, "newest") {
			order = func(a, b dataPos) int { return b.compare(a) }
		}
		sorted := slices.SortedFunc(slices.Values(keys), order)
		few := inTurn(slices.Clone(keys), order, true)
		all := inTurn(slices.Clone(keys), order, false)
		after, n := draw.Draw(t, "after"), rapid.IntRange(0, 60).Draw(t, "n")
		from, _ := slices.BinarySearchFunc(sorted, after, func(k, after dataPos) int { return cmp.Or(order(k, after), -1) })
		want := fmt.Sprint(sorted[from:min(from+n, len(sorted))])
		if a, b := fmt.Sprint(few(after, n)), fmt.Sprint(all(after, n)); a != want || b != want {
			t.Fatalf("%d keys behind %v: %s and %s; want %s", n, after, a, b, want)
		}
	})
}
