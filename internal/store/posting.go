package store

import (
	"container/heap"
	"slices"
)

// postings lists which Data have or had a tag, by the numbers that the lineage graph
// gives them. They may name too many Data, never too few: a tag that was taken away
// stays listed, and so does a number that came to stand for another Data. Whoever uses
// them looks at the rows anyhow, and so sees what is true.
type postings struct {
	of    map[tagKey]uint32 // a number, or (with listed set) an index into lists
	lists [][]uint32        // each ascending
	times []int64           // by number: the timestamp as stored, for the order of lists
	stale int               // entries that may be wrong
	size  int               // entries
}

// listed marks an entry of postings.of that stands for a list. Most tags that are rare at
// all are on one Data only, and need no list.
const listed = 1 << 31

func newPostings() *postings { return &postings{of: map[tagKey]uint32{}} }

// add lists a Data under a tag.
func (p *postings) add(tag tagKey, n uint32) {
	at, ok := p.of[tag]
	switch {
	case !ok:
		p.of[tag] = n
	case at&listed == 0 && at == n:
		return
	case at&listed == 0:
		p.of[tag] = listed | uint32(len(p.lists))
		p.lists = append(p.lists, []uint32{min(at, n), max(at, n)})
	default:
		list := &p.lists[at&^listed]
		if last := len(*list) - 1; (*list)[last] < n {
			*list = append(*list, n)
			break
		}
		i, found := slices.BinarySearch(*list, n)
		if found {
			return
		}
		*list = slices.Insert(*list, i, n)
	}
	p.size++
}

// bulk lists Data, in any order, under a tag that has none yet.
func (p *postings) bulk(tag tagKey, numbers []uint32) {
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	p.size += len(numbers)
	if len(numbers) == 1 {
		p.of[tag] = numbers[0]
		return
	}
	p.of[tag] = listed | uint32(len(p.lists))
	p.lists = append(p.lists, slices.Clone(numbers))
}

// setTime notes the timestamp of a Data.
func (p *postings) setTime(n uint32, ts int64) {
	for int(n) >= len(p.times) {
		p.times = append(p.times, noTime)
	}
	p.times[n] = ts
}

func (p *postings) time(n uint32) int64 {
	if int(n) >= len(p.times) {
		return noTime
	}
	return p.times[n]
}

// list returns the Data listed under a tag. It must not be changed.
func (p *postings) list(tag tagKey) []uint32 {
	at, ok := p.of[tag]
	switch {
	case !ok:
		return nil
	case at&listed == 0:
		return []uint32{at}
	}
	return p.lists[at&^listed]
}

// all returns the Data listed under all of the tags.
func (p *postings) all(tags []tagKey) []uint32 {
	lists := make([][]uint32, len(tags))
	for i, t := range tags {
		lists[i] = p.list(t)
	}
	slices.SortFunc(lists, func(a, b []uint32) int { return len(a) - len(b) })
	found := lists[0]
	for _, list := range lists[1:] {
		found = intersect(found, list)
	}
	return found
}

// intersect returns what is in both lists, of which a is the shorter. It gallops: the
// cost is that of a, not of b.
func intersect(a, b []uint32) []uint32 {
	var both []uint32
	for _, n := range a {
		step := 1
		for step < len(b) && b[step] < n {
			step *= 2
		}
		window := b[step/2 : min(step+1, len(b))]
		i, found := slices.BinarySearch(window, n)
		if found {
			both = append(both, n)
		}
		if b = b[step/2+i:]; len(b) == 0 {
			break
		}
	}
	return both
}

// firstKeys returns the first n of many keys behind after, in order.
func firstKeys(keys []dataPos, order func(a, b dataPos) int, after dataPos, n int) []dataPos {
	h := lastOnTop{order: order}
	for _, k := range keys {
		switch {
		case order(k, after) <= 0:
		case len(h.keys) < n:
			heap.Push(&h, k)
		case n > 0 && order(k, h.keys[0]) < 0:
			h.keys[0] = k
			heap.Fix(&h, 0)
		}
	}
	slices.SortFunc(h.keys, order)
	return h.keys
}

// inTurn returns a function that gives the first n of the keys behind another. When few
// are wanted it looks for them each time, otherwise it sorts all keys once.
func inTurn(keys []dataPos, order func(a, b dataPos) int, few bool) func(after dataPos, n int) []dataPos {
	if few && len(keys) > firstChunk {
		return func(after dataPos, n int) []dataPos { return firstKeys(keys, order, after, n) }
	}
	slices.SortFunc(keys, order)
	return func(after dataPos, n int) []dataPos {
		i, found := slices.BinarySearchFunc(keys, after, order)
		if found {
			i++
		}
		return keys[i:min(i+n, len(keys))]
	}
}

// lastOnTop is a heap whose top is the last key in the order.
type lastOnTop struct {
	order func(a, b dataPos) int
	keys  []dataPos
}

func (h *lastOnTop) Len() int           { return len(h.keys) }
func (h *lastOnTop) Less(i, j int) bool { return h.order(h.keys[i], h.keys[j]) > 0 }
func (h *lastOnTop) Swap(i, j int)      { h.keys[i], h.keys[j] = h.keys[j], h.keys[i] }
func (h *lastOnTop) Push(x any)         { h.keys = append(h.keys, x.(dataPos)) }
func (h *lastOnTop) Pop() any {
	last := h.keys[len(h.keys)-1]
	h.keys = h.keys[:len(h.keys)-1]
	return last
}
