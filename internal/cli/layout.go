package cli

import (
	"cmp"
	"math"
	"slices"
)

// The layout is the layered one of Sugiyama, from left to right: every edge leads to
// a layer further right; long edges get a bend in each layer they pass; the order
// within the layers is improved until fewer edges cross; then each vertex moves to
// the height where its edges are straightest.
const (
	rowGap     = 22.0
	bendHeight = 10.0
	layerGap   = 64.0
	portGap    = 17.0
	margin     = 24.0

	maxBends  = 200_000 // beyond, long edges are drawn straight: nobody could follow them
	maxSweeps = 24
	calmSize  = 4_000 // vertices beyond which fewer sweeps must do
)

type point struct{ x, y float64 }

type box struct{ x, y, w, h float64 }

// A layout says where everything of a graph is drawn. Each edge has at least two
// points; between an even point and the next one a curve, after an odd one a line.
type layout struct {
	boxes []box
	paths [][]point
	w, h  float64
}

// A vertex is a node or, beyond those, a bend of a long edge.
type vertex struct {
	layer, order int
	w, h, y      float64 // y is the middle
	bend         bool
	left, right  []int // adjacent vertices
}

type arranger struct {
	g      graph
	vs     []vertex
	chains [][]int // per edge: its vertices from one end to the other
	layers [][]int
}

// arrange places the nodes of g, whose sizes are given, and leads the edges between
// them. label tells how wide the text on an edge is.
func arrange(g graph, sizes []box, label func(edge) float64) layout {
	a := &arranger{g: g, vs: make([]vertex, len(g.nodes))}
	out, in := g.neighbours()
	for i := range g.nodes {
		ports := float64(max(len(out[i]), len(in[i])))
		a.vs[i].w, a.vs[i].h = sizes[i].w, max(sizes[i].h, ports*portGap+8)
	}
	a.rank(out, in)
	a.bendEdges()
	a.order()
	a.settle()
	return a.draw(out, in, label)
}

// rank puts each node one layer right of the last that leads to it, and a node that
// nothing leads to next to the first that it leads to.
func (a *arranger) rank(out, in [][]int) {
	missing := make([]int, len(a.g.nodes))
	var queue, topological []int
	for i := range a.g.nodes {
		if missing[i] = len(in[i]); missing[i] == 0 {
			queue = append(queue, i)
		}
	}
	seen := make([]bool, len(a.g.nodes))
	for rest := 0; ; {
		for ; len(queue) > 0; queue = queue[1:] {
			v := queue[0]
			if seen[v] {
				continue
			}
			seen[v] = true
			topological = append(topological, v)
			for _, e := range out[v] {
				w := a.g.edges[e].to
				if !seen[w] {
					a.vs[w].layer = max(a.vs[w].layer, a.vs[v].layer+1)
				}
				if missing[w]--; missing[w] == 0 {
					queue = append(queue, w)
				}
			}
		}
		for rest < len(seen) && seen[rest] { // only a loop, which no server makes, leaves any
			rest++
		}
		if rest == len(seen) {
			break
		}
		queue = append(queue, rest)
	}
	for _, v := range slices.Backward(topological) {
		if len(in[v]) > 0 || len(out[v]) == 0 {
			continue
		}
		nearest := math.MaxInt
		for _, e := range out[v] {
			nearest = min(nearest, a.vs[a.g.edges[e].to].layer)
		}
		a.vs[v].layer = max(a.vs[v].layer, nearest-1)
	}
}

func (a *arranger) bendEdges() {
	bends := 0
	for _, e := range a.g.edges {
		bends += max(0, a.vs[e.to].layer-a.vs[e.from].layer-1)
	}
	a.chains = make([][]int, len(a.g.edges))
	for i, e := range a.g.edges {
		chain := []int{e.from}
		for l := a.vs[e.from].layer + 1; bends <= maxBends && l < a.vs[e.to].layer; l++ {
			a.vs = append(a.vs, vertex{layer: l, h: bendHeight, bend: true})
			chain = append(chain, len(a.vs)-1)
		}
		a.chains[i] = append(chain, e.to)
	}
	for _, chain := range a.chains {
		for i := 1; i < len(chain); i++ {
			v, w := chain[i-1], chain[i]
			if a.vs[w].layer == a.vs[v].layer+1 {
				a.vs[v].right = append(a.vs[v].right, w)
				a.vs[w].left = append(a.vs[w].left, v)
			}
		}
	}
}

// order chooses the order within the layers.
func (a *arranger) order() {
	a.firstOrder()
	sweeps := maxSweeps
	if len(a.vs) > calmSize {
		sweeps = 4
	}
	best, fewest := a.snapshot(), a.crossings()
	for s := range sweeps {
		if fewest == 0 {
			break
		}
		a.sweep(s%2 == 0)
		if n := a.crossings(); n < fewest {
			best, fewest = a.snapshot(), n
		}
	}
	for l, vs := range best {
		a.layers[l] = vs
		a.number(l)
	}
}

// firstOrder lists the vertices in the order of a walk that goes deep first, so that
// what belongs together begins together.
func (a *arranger) firstOrder() {
	deepest := 0
	for _, v := range a.vs {
		deepest = max(deepest, v.layer)
	}
	a.layers = make([][]int, deepest+1)
	seen := make([]bool, len(a.vs))
	for start := range a.vs {
		for stack := []int{start}; len(stack) > 0; {
			v := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if seen[v] {
				continue
			}
			seen[v] = true
			a.layers[a.vs[v].layer] = append(a.layers[a.vs[v].layer], v)
			for _, w := range slices.Backward(a.vs[v].right) {
				stack = append(stack, w)
			}
			for _, w := range slices.Backward(a.vs[v].left) {
				stack = append(stack, w)
			}
		}
	}
	for l := range a.layers {
		a.number(l)
	}
}

func (a *arranger) number(l int) {
	for i, v := range a.layers[l] {
		a.vs[v].order = i
	}
}

func (a *arranger) snapshot() [][]int {
	s := make([][]int, len(a.layers))
	for l := range a.layers {
		s[l] = slices.Clone(a.layers[l])
	}
	return s
}

// sweep sorts each layer by the mean place of its neighbours in the layer before.
func (a *arranger) sweep(rightwards bool) {
	for n := range a.layers {
		l := n
		if !rightwards {
			l = len(a.layers) - 1 - n
		}
		weight := make(map[int]float64, len(a.layers[l]))
		for _, v := range a.layers[l] {
			near := a.vs[v].left
			if !rightwards {
				near = a.vs[v].right
			}
			weight[v] = float64(a.vs[v].order)
			if len(near) > 0 {
				sum := 0
				for _, w := range near {
					sum += a.vs[w].order
				}
				weight[v] = float64(sum) / float64(len(near))
			}
		}
		slices.SortStableFunc(a.layers[l], func(v, w int) int { return cmp.Compare(weight[v], weight[w]) })
		a.number(l)
	}
}

// crossings counts the pairs of edges that cross, by counting inversions.
func (a *arranger) crossings() int {
	total := 0
	for l := 0; l+1 < len(a.layers); l++ {
		tree := make([]int, len(a.layers[l+1])+1) // Fenwick: how many edges end at or before
		ended := 0
		for _, v := range a.layers[l] {
			for _, w := range a.vs[v].right {
				for i := a.vs[w].order + 1; i > 0; i -= i & -i {
					total -= tree[i]
				}
				total += ended
			}
			for _, w := range a.vs[v].right {
				ended++
				for i := a.vs[w].order + 1; i < len(tree); i += i & -i {
					tree[i]++
				}
			}
		}
	}
	return total
}

// settle finds heights: again and again each layer is moved as near as the sizes
// allow to the mean height of its neighbours.
func (a *arranger) settle() {
	for _, vs := range a.layers {
		y := 0.0
		for _, v := range vs {
			a.vs[v].y = y + a.vs[v].h/2
			y += a.vs[v].h + rowGap
		}
	}
	both := func(v vertex) []int { return slices.Concat(v.left, v.right) }
	left := func(v vertex) []int { return v.left }
	right := func(v vertex) []int { return v.right }
	for range 8 {
		for l := range a.layers {
			a.settleLayer(l, left)
		}
		for l := range a.layers {
			a.settleLayer(len(a.layers)-1-l, right)
		}
	}
	for range 4 {
		for l := range a.layers {
			a.settleLayer(l, both)
		}
	}
}

// settleLayer solves one layer exactly: of all heights that keep the order and the
// distances, those with the least squares from what is wanted (isotonic regression
// by pooling adjacent violators).
func (a *arranger) settleLayer(l int, near func(vertex) []int) {
	type pool struct {
		wanted, weight float64
		size           int
	}
	var pools []pool
	offset, before := 0.0, 0.0
	offsets := make([]float64, len(a.layers[l]))
	for i, v := range a.layers[l] {
		x := a.vs[v]
		if i > 0 {
			offset += before + rowGap + x.h/2
		}
		before, offsets[i] = x.h/2, offset
		wanted, weight := x.y, 0.1
		if ns := near(x); len(ns) > 0 {
			wanted, weight = 0, 1
			for _, n := range ns {
				wanted += a.vs[n].y / float64(len(ns))
			}
			if x.bend {
				weight = 4 // straight long edges please most
			}
		}
		pools = append(pools, pool{wanted - offset, weight, 1})
		for n := len(pools) - 1; n > 0 && pools[n-1].wanted > pools[n].wanted; n-- {
			p, q := pools[n-1], pools[n]
			w := p.weight + q.weight
			pools = append(pools[:n-1], pool{(p.wanted*p.weight + q.wanted*q.weight) / w, w, p.size + q.size})
		}
	}
	i := 0
	for _, p := range pools {
		for range p.size {
			a.vs[a.layers[l][i]].y = p.wanted + offsets[i]
			i++
		}
	}
}

// draw turns layers and heights into places on the paper.
func (a *arranger) draw(out, in [][]int, label func(edge) float64) layout {
	widths, gaps := make([]float64, len(a.layers)), make([]float64, len(a.layers))
	for _, v := range a.vs {
		widths[v.layer] = max(widths[v.layer], v.w)
	}
	for _, e := range a.g.edges {
		for _, l := range []int{a.vs[e.from].layer, a.vs[e.to].layer - 1} {
			if l >= 0 {
				gaps[l] = max(gaps[l], layerGap, label(e)+44)
			}
		}
	}
	xs, x := make([]float64, len(a.layers)), margin
	for l := range a.layers {
		xs[l] = x
		x += widths[l] + gaps[l]
	}
	top, bottom := math.Inf(1), math.Inf(-1)
	for _, v := range a.vs {
		top, bottom = min(top, v.y-v.h/2), max(bottom, v.y+v.h/2)
	}
	lay := layout{boxes: make([]box, len(a.g.nodes)), paths: make([][]point, len(a.g.edges))}
	for i := range a.vs {
		a.vs[i].y += margin - top
	}
	for i := range a.g.nodes {
		v := a.vs[i]
		lay.boxes[i] = box{xs[v.layer], v.y - v.h/2, v.w, v.h}
		lay.w = max(lay.w, xs[v.layer]+v.w+margin)
	}
	lay.h = bottom - top + 2*margin
	leave, reach := a.ports(out, true), a.ports(in, false)
	for i, chain := range a.chains {
		from, to := lay.boxes[chain[0]], lay.boxes[chain[len(chain)-1]]
		path := []point{{from.x + from.w, leave[i]}}
		for _, b := range chain[1 : len(chain)-1] {
			v := a.vs[b]
			path = append(path, point{xs[v.layer], v.y}, point{xs[v.layer] + widths[v.layer], v.y})
		}
		lay.paths[i] = append(path, point{to.x, reach[i]})
	}
	return lay
}

// ports spreads the edges along the side of each node, in the order of where they
// come from or go to, and returns the height of each edge there.
func (a *arranger) ports(edges [][]int, leaving bool) []float64 {
	heights := make([]float64, len(a.g.edges))
	for v, es := range edges {
		far := func(e int) float64 {
			chain := a.chains[e]
			if leaving {
				return a.vs[chain[1]].y
			}
			return a.vs[chain[len(chain)-2]].y
		}
		sorted := slices.SortedStableFunc(slices.Values(es), func(e, f int) int { return cmp.Compare(far(e), far(f)) })
		for n, e := range sorted {
			heights[e] = a.vs[v].y + (float64(n)-float64(len(es)-1)/2)*portGap
		}
	}
	return heights
}
