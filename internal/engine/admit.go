package engine

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
)

// reserveAfter is how long the oldest Run that does not fit is overtaken by
// smaller ones. From then on, what it asks for is kept for it.
const reserveAfter = 10 * time.Minute

// Amounts are resources by name, in thousandths.
type amounts map[string]int64

func toAmounts(rs weft.Resources) amounts {
	out := make(amounts, len(rs))
	for name, q := range rs {
		if v := q.MilliValue(); v > 0 {
			out[name] = v
		}
	}
	return out
}

// A request is a Run that asks for room.
type request struct {
	run      weft.RunID
	priority int       // larger goes first
	made     time.Time // the older goes first
	since    time.Time // asks since
	need     amounts
	node     weft.OnNode
	plan     weft.PlanID
	most     int64  // how many Runs of the plan may be under way; 0 is no limit
	blocked  string // why it may not start whatever room there is, in words; "" if it may
}

// An answer says whether a Run may start now.
type answer struct {
	start   bool
	devices []string // CDI names given to it
	reason  string   // if not, in words
}

// A holding is what a Run that was let in has.
type holding struct {
	plan    weft.PlanID
	need    amounts
	devices []string
	since   time.Time
}

// inOrder sorts requests as they are served: by priority, then the oldest first.
func inOrder(queue []request) {
	slices.SortFunc(queue, func(a, b request) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), a.made.Compare(b.made), slices.Compare(a.run[:], b.run[:]))
	})
}

// admit decides who of the queue, which is in order, may start. Whoever does not fit
// is overtaken by those who do, for a while; then the first such Run reserves all it
// asks for. An executor without limits takes everyone.
func admit(capacity executor.Capacity, held []holding, queue []request, now time.Time) []answer {
	answers := make([]answer, len(queue))
	room := newRoom(capacity, held)
	under := map[weft.PlanID]int64{} // how many Runs of each plan are under way
	for _, h := range held {
		under[h.plan]++
	}
	for i, r := range queue {
		if why := r.held(under[r.plan]); why != "" {
			answers[i].reason = why
			continue
		}
		if capacity.Resources == nil {
			answers[i].start = true
			under[r.plan]++
			continue
		}
		if why := room.never(r); why != "" {
			answers[i] = answer{reason: "can never run here: " + why}
			continue
		}
		if lacks := room.lacks(r); len(lacks) > 0 {
			answers[i].reason = room.waits(r, lacks)
			if room.reserved == nil && now.Sub(r.since) >= reserveAfter {
				room.reserve(r)
			}
			continue
		}
		answers[i] = answer{start: true, devices: room.take(r)}
		under[r.plan]++
	}
	return answers
}

// held says what keeps r from starting whatever room there is, when so many Runs of its
// plan are under way.
func (r request) held(under int64) string {
	switch {
	case r.blocked != "":
		return r.blocked
	case r.most > 0 && under >= r.most:
		return fmt.Sprintf("waits for another run of its plan to end: the plan allows %d at a time", r.most)
	}
	return ""
}

// A room is what a machine has left while it is shared out.
type room struct {
	capacity executor.Capacity
	total    amounts
	free     amounts // of devices too
	devices  map[string][]string
	reserved amounts // kept for the one who has waited longest
	holder   weft.RunID
}

func newRoom(c executor.Capacity, held []holding) *room {
	m := &room{capacity: c, total: toAmounts(c.Resources), devices: map[string][]string{}}
	taken := map[string]bool{}
	used := amounts{}
	for _, h := range held {
		for name, v := range h.need {
			used[name] += v
		}
		for _, d := range h.devices {
			taken[d] = true
		}
	}
	for name, all := range c.Devices {
		m.devices[name] = slices.DeleteFunc(slices.Clone(all), func(d string) bool { return taken[d] })
		m.total[name] = int64(len(all)) * 1000
	}
	m.free = maps.Clone(m.total)
	for name, v := range used {
		m.free[name] = max(0, m.free[name]-v)
	}
	for name, names := range m.devices { // a device may be taken by a Run whose plan has changed since
		m.free[name] = min(m.free[name], int64(len(names))*1000)
	}
	return m
}

// never says why r cannot run on this machine even when it is empty.
func (m *room) never(r request) string {
	var whys []string
	for _, name := range slices.Sorted(maps.Keys(r.need)) {
		switch v, have := r.need[name], m.total[name]; {
		case have == 0:
			whys = append(whys, fmt.Sprintf("it asks for %s, and this machine has none", quantity(name, v)))
		case v > have:
			whys = append(whys, fmt.Sprintf("it asks for %s, and this machine has %s in all", quantity(name, v), figure(name, have)))
		case m.capacity.Devices[name] != nil && v%1000 != 0:
			whys = append(whys, fmt.Sprintf("it asks for %s, and devices are not divided", quantity(name, v)))
		}
	}
	if l, ok := unmet(r.node.Must, m.capacity.Labels); ok {
		whys = append(whys, fmt.Sprintf("its on_node must have the label %s, and this machine does not have it", l))
	}
	return strings.Join(whys, "; ")
}

// unmet returns a label among must that the machine lacks. As in Kubernetes, several
// values of one key are alternatives. What a Run may or prefers bears no weight
// where there is one machine, which is set apart for nothing.
func unmet(must, labels []weft.Label) (weft.Label, bool) {
	for _, l := range must {
		met := slices.ContainsFunc(must, func(alt weft.Label) bool { return alt.Key == l.Key && slices.Contains(labels, alt) })
		if !met {
			return l, true
		}
	}
	return weft.Label{}, false
}

// left is what of a resource is there for r.
func (m *room) left(name string) int64 { return max(0, m.free[name]-m.reserved[name]) }

func (m *room) lacks(r request) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(r.need)) {
		if r.need[name] > m.left(name) {
			names = append(names, name)
		}
	}
	return names
}

// waits says in words what r waits for: "waits for 2 cpu: 1.5 of 4 are free".
func (m *room) waits(r request, lacks []string) string {
	parts := make([]string, len(lacks))
	kept := false
	for i, name := range lacks {
		parts[i] = fmt.Sprintf("%s: %s of %s are free", quantity(name, r.need[name]), figure(name, m.free[name]), figure(name, m.total[name]))
		kept = kept || r.need[name] <= m.free[name]
	}
	text := "waits for " + strings.Join(parts, ", and for ")
	if kept {
		text += fmt.Sprintf(", but kept for run %s, which has waited longest", m.holder)
	}
	return text
}

func (m *room) reserve(r request) { m.reserved, m.holder = r.need, r.run }

func (m *room) take(r request) (devices []string) {
	for _, name := range slices.Sorted(maps.Keys(r.need)) {
		m.free[name] -= r.need[name]
		if names := m.devices[name]; m.capacity.Devices[name] != nil {
			n := int(r.need[name] / 1000)
			devices = append(devices, names[:n]...)
			m.devices[name] = names[n:]
		}
	}
	return devices
}

// quantity writes an amount with its name, as in "2 cpu" and "1.5Gi memory".
func quantity(name string, v int64) string { return figure(name, v) + " " + name }

// figure writes an amount for people: bytes with a binary unit, all else as a number.
func figure(name string, v int64) string {
	whole := float64(v) / 1000
	if !countsBytes(name) || whole < 1024 {
		return number(whole)
	}
	units := []string{"Ki", "Mi", "Gi", "Ti", "Pi"}
	i := 0
	for whole /= 1024; whole >= 1024 && i < len(units)-1; i++ {
		whole /= 1024
	}
	return number(whole) + units[i]
}

func number(f float64) string {
	text := strconv.FormatFloat(f, 'f', 2, 64)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}

func countsBytes(name string) bool {
	return name == "memory" || name == "ephemeral-storage" || strings.HasPrefix(name, "hugepages-")
}
