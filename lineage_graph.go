package weft

import "sync"

// A LineageGraph holds which Run made and read which Data, of all projects and for
// large traversals. Ids are interned to 32-bit numbers and everything else is flat
// arrays of numbers: about 35 bytes for a Data, 40 for a Run and 16 for each of its
// inputs. It is safe for concurrent use. What it is given need not be in any order;
// invalidated Runs are not to be added, as lineage hides them.
type LineageGraph struct {
	mu   sync.RWMutex
	data interner[Data]
	runs interner[Run]

	producer  vector[uint32] // by data: the Run that makes it; 0 is none (yet)
	consumers vector[uint32] // by data: the first of its edges; 0 is none
	spans     vector[runSpan]
	edges     vector[lineageEdge] // the inputs of one Run lie side by side
	outputs   vector[uint32]      // data; the outputs of one Run lie side by side

	freeEdges   map[uint32][]uint32 // by length: where edges of removed Runs lay
	freeOutputs map[uint32][]uint32
}

// A runSpan says where the edges and outputs of a Run lie.
type runSpan struct{ firstIn, inputs, firstOut, outputs uint32 }

// A lineageEdge says that a Run reads a Data. The edges of one Data form a doubly
// linked list, so that one can be taken out however many there are.
type lineageEdge struct{ data, run, next, prev uint32 }

// NewLineageGraph returns an empty graph.
func NewLineageGraph() *LineageGraph {
	g := &LineageGraph{freeEdges: map[uint32][]uint32{}, freeOutputs: map[uint32][]uint32{}}
	g.edges.grow(1) // as 0 means none
	return g
}

// Len returns how many Runs and Data the graph knows.
func (g *LineageGraph) Len() (runs, data int) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.runs.count, g.data.count
}

// Number returns the number that stands for a Data while some Run of the graph
// makes or reads it. Numbers are small, and are used again after that.
func (g *LineageGraph) Number(id DataID) (n uint32, ok bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.data.find(id)
}

// Numbered calls yield with the Data of each number, in order, until it returns
// false; numbers that stand for nothing are left out.
func (g *LineageGraph) Numbered(numbers []uint32, yield func(n uint32, id DataID) bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	for _, n := range numbers {
		if int(n) >= g.producer.n || *g.producer.at(n) == 0 && *g.consumers.at(n) == 0 {
			continue
		}
		if !yield(n, *g.data.ids.at(n)) {
			return
		}
	}
}

// Add puts a Run into the graph, or replaces it. Outputs are all that it makes, its
// log included; zero ids, which stand for discarded Data, are left out.
func (g *LineageGraph) Add(run RunID, inputs, outputs []DataID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n, ok := g.runs.find(run); ok {
		g.drop(n)
	}
	n := g.runs.intern(run)
	g.spans.grow(int(n) + 1)
	ins, outs := g.numbers(inputs), g.numbers(outputs)
	span := runSpan{
		firstIn: place(&g.edges, g.freeEdges, len(ins)), inputs: uint32(len(ins)),
		firstOut: place(&g.outputs, g.freeOutputs, len(outs)), outputs: uint32(len(outs)),
	}
	*g.spans.at(n) = span
	for i, d := range ins {
		g.link(span.firstIn+uint32(i), lineageEdge{data: d, run: n})
	}
	for i, d := range outs {
		*g.outputs.at(span.firstOut + uint32(i)) = d
		*g.producer.at(d) = n
	}
}

// numbers interns ids, each once.
func (g *LineageGraph) numbers(ids []DataID) []uint32 {
	ns := make([]uint32, 0, len(ids))
	for i, id := range ids {
		if id.IsZero() || len(ids) <= 16 && containsID(ids[:i], id) {
			continue
		}
		ns = append(ns, g.data.intern(id))
	}
	g.producer.grow(g.data.ids.n)
	g.consumers.grow(g.data.ids.n)
	if len(ids) > 16 {
		ns = distinct(ns)
	}
	return ns
}

func containsID(ids []DataID, id DataID) bool {
	for _, other := range ids {
		if other == id {
			return true
		}
	}
	return false
}

// distinct keeps the first of equal numbers.
func distinct(ns []uint32) []uint32 {
	seen := make(map[uint32]bool, len(ns))
	kept := ns[:0]
	for _, n := range ns {
		if !seen[n] {
			seen[n] = true
			kept = append(kept, n)
		}
	}
	return kept
}

// place finds room for n entries side by side.
func place[T any](v *vector[T], free map[uint32][]uint32, n int) uint32 {
	if n == 0 {
		return 0
	}
	if spots := free[uint32(n)]; len(spots) > 0 {
		free[uint32(n)] = spots[:len(spots)-1]
		return spots[len(spots)-1]
	}
	first := v.n
	v.grow(first + n)
	return uint32(first)
}

// link writes an edge and puts it first in its Data's list.
func (g *LineageGraph) link(at uint32, e lineageEdge) {
	head := g.consumers.at(e.data)
	e.next = *head
	if e.next != 0 {
		g.edges.at(e.next).prev = at
	}
	*head = at
	*g.edges.at(at) = e
}

func (g *LineageGraph) unlink(at uint32) {
	e := *g.edges.at(at)
	if e.prev != 0 {
		g.edges.at(e.prev).next = e.next
	} else {
		*g.consumers.at(e.data) = e.next
	}
	if e.next != 0 {
		g.edges.at(e.next).prev = e.prev
	}
	g.release(e.data)
}

// release forgets a Data that no Run makes or reads any more.
func (g *LineageGraph) release(d uint32) {
	if *g.producer.at(d) == 0 && *g.consumers.at(d) == 0 {
		g.data.forget(d)
	}
}

// Remove takes a Run out of the graph. Removing what is unknown changes nothing.
func (g *LineageGraph) Remove(run RunID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n, ok := g.runs.find(run); ok {
		g.drop(n)
	}
}

func (g *LineageGraph) drop(n uint32) {
	span := *g.spans.at(n)
	for i := range span.outputs {
		d := *g.outputs.at(span.firstOut + i)
		if p := g.producer.at(d); *p == n { // else another Run was said to make it since
			*p = 0
			g.release(d)
		}
	}
	for i := range span.inputs {
		g.unlink(span.firstIn + i)
	}
	if span.inputs > 0 {
		g.freeEdges[span.inputs] = append(g.freeEdges[span.inputs], span.firstIn)
	}
	if span.outputs > 0 {
		g.freeOutputs[span.outputs] = append(g.freeOutputs[span.outputs], span.firstOut)
	}
	g.runs.forget(n)
}

// Walk returns what LineageQuery asks for: the Data and the Runs, each once, in the
// order in which they are reached; the start is first. It returns nothing when the
// graph does not know the start.
func (g *LineageGraph) Walk(q LineageQuery) (data []DataID, runs []RunID) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	start, ok := g.data.find(q.Start)
	if !ok {
		return nil, nil
	}
	w := walk{g: g, data: newBitset(g.data.ids.n), runs: newBitset(g.runs.ids.n)}
	w.addData(start)
	if q.Upstream {
		w.up(start, q.Depth)
	}
	if q.Downstream {
		w.down(start, q.Depth)
	}
	data, runs = make([]DataID, len(w.dataFound)), make([]RunID, len(w.runsFound))
	for i, n := range w.dataFound {
		data[i] = *g.data.ids.at(n)
	}
	for i, n := range w.runsFound {
		runs[i] = *g.runs.ids.at(n)
	}
	return data, runs
}

// A walk is one traversal. What was found is apart from where a direction has been,
// as one direction may find, beside its way, what the other has to pass.
type walk struct {
	g                    *LineageGraph
	data, runs           bitset // found
	dataFound, runsFound []uint32
}

func (w *walk) addData(n uint32) {
	if w.data.set(n) {
		w.dataFound = append(w.dataFound, n)
	}
}

// addRun finds a Run with everything it reads and makes.
func (w *walk) addRun(n uint32) {
	if !w.runs.set(n) {
		return
	}
	w.runsFound = append(w.runsFound, n)
	span := *w.g.spans.at(n)
	for i := range span.inputs {
		w.addData(w.g.edges.at(span.firstIn + i).data)
	}
	for i := range span.outputs {
		w.addData(*w.g.outputs.at(span.firstOut + i))
	}
}

func (w *walk) up(start uint32, depth int) {
	been := newBitset(w.g.runs.ids.n)
	for level, steps := []uint32{start}, 0; len(level) > 0 && (depth == 0 || steps < depth); steps++ {
		var above []uint32
		for _, d := range level {
			r := *w.g.producer.at(d)
			if r == 0 || !been.set(r) {
				continue
			}
			w.addRun(r)
			span := *w.g.spans.at(r)
			for i := range span.inputs {
				above = append(above, w.g.edges.at(span.firstIn+i).data)
			}
		}
		level = above
	}
}

func (w *walk) down(start uint32, depth int) {
	been := newBitset(w.g.runs.ids.n)
	for level, steps := []uint32{start}, 0; len(level) > 0 && (depth == 0 || steps < depth); steps++ {
		var below []uint32
		for _, d := range level {
			for at := *w.g.consumers.at(d); at != 0; {
				e := *w.g.edges.at(at)
				at = e.next
				if !been.set(e.run) {
					continue
				}
				w.addRun(e.run)
				span := *w.g.spans.at(e.run)
				for i := range span.outputs {
					below = append(below, *w.g.outputs.at(span.firstOut + i))
				}
			}
		}
		level = below
	}
}
