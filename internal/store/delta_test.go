package store

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weft-dev/weft"
)

// TestProductGoesOn checks that a product that was broken off goes on behind any of its
// combinations, whether or not its Data are still there.
func TestProductGoesOn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lists := make([][]weft.DataID, rapid.IntRange(1, 3).Draw(t, "inputs"))
		after := make(weft.Assignment, len(lists))
		for i := range lists {
			for _, n := range rapid.SliceOfNDistinct(rapid.Byte(), 0, 5, rapid.ID).Draw(t, "data") {
				lists[i] = append(lists[i], weft.DataID{n})
			}
			slices.SortFunc(lists[i], compareIDs)
			after[i] = weft.DataID{rapid.Byte().Draw(t, "after")}
			if len(lists[i]) > 0 && rapid.Bool().Draw(t, "there") {
				after[i] = lists[i][rapid.IntRange(0, len(lists[i])-1).Draw(t, "nth")]
			}
		}
		collect := func(after []byte) []string {
			var keys []string
			product(lists, after, func(a weft.Assignment) bool {
				keys = append(keys, string(a.Key()))
				return true
			})
			return keys
		}
		all := collect(nil)
		if !slices.IsSorted(all) {
			t.Fatalf("not in order: %x", all)
		}
		want := slices.DeleteFunc(slices.Clone(all), func(key string) bool { return key <= string(after.Key()) })
		if got := collect(after.Key()); !slices.Equal(got, want) {
			t.Fatalf("behind %x comes %x, want %x", after.Key(), got, want)
		}
		d := &delta{plan: weft.Plan{Inputs: make([]weft.Input, len(lists))}, full: true, fits: lists}
		if d.count() != int64(len(all)) {
			t.Fatalf("counted %d, there are %d", d.count(), len(all))
		}
	})
}
