package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
)

// The language of these tests: a machine is "cpu:4 memory:8Gi gpu:a,b label:zone=west",
// what it is used for are the needs of Runs, separated by |, and the queue is one line
// per Run: its need, how long it waits, and the answer that is wanted.
func TestAdmit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, machine, used, queue string }{
		{"all fit", "cpu:4 memory:8Gi", "", `
			cpu:2 memory:1Gi → starts
			cpu:2 memory:1Gi → starts`},
		{"no limits", "", "cpu:900", `
			cpu:1000 gpu:7 must:zone=west → starts`},
		{"waits", "cpu:4 memory:8Gi", "cpu:1.5|cpu:1", `
			cpu:2 → waits for 2 cpu: 1.5 of 4 are free`},
		{"waits for two things", "cpu:4 memory:8Gi", "cpu:4 memory:6.5Gi", `
			cpu:1 memory:2Gi → waits for 1 cpu: 0 of 4 are free, and for 2Gi memory: 1.5Gi of 8Gi are free`},
		{"smaller ones overtake", "cpu:4", "cpu:2", `
			cpu:3 5m → waits for 3 cpu: 2 of 4 are free
			cpu:1 → starts
			cpu:2 → waits for 2 cpu: 1 of 4 are free`},
		{"not for ever", "cpu:4", "cpu:2", `
			cpu:3 10m → waits for 3 cpu: 2 of 4 are free
			cpu:1 → waits for 1 cpu: 2 of 4 are free, but kept for run 1, which has waited longest`},
		{"what the oldest leaves is free", "cpu:4 memory:8Gi", "cpu:2", `
			cpu:3 memory:7Gi 11m → waits for 3 cpu: 2 of 4 are free
			memory:1Gi → starts
			memory:1Gi → waits for 1Gi memory: 7Gi of 8Gi are free, but kept for run 1, which has waited longest`},
		{"only the oldest reserves", "cpu:4 gpu:a", "cpu:2 gpu:1", `
			gpu:1 20m → waits for 1 gpu: 0 of 1 are free
			cpu:3 15m → waits for 3 cpu: 2 of 4 are free
			cpu:2 → starts`},
		{"never: too large", "cpu:4 memory:8Gi", "", `
			cpu:64 20m → can never run here: it asks for 64 cpu, and this machine has 4 in all
			cpu:4 → starts`},
		{"never: nothing of it", "cpu:4", "", `
			cpu:1 gpu:1 → can never run here: it asks for 1 gpu, and this machine has none`},
		{"nothing asked of what is not there", "cpu:4", "", `
			cpu:1 gpu:0 → starts`},
		{"never: half a device", "cpu:4 gpu:a", "", `
			gpu:0.5 → can never run here: it asks for 0.5 gpu, and devices are not divided`},
		{"devices by name", "cpu:4 gpu:a,b,c", "gpu:1=b", `
			gpu:1 → starts with a
			gpu:1 → starts with c
			gpu:1 → waits for 1 gpu: 0 of 3 are free`},
		{"a device taken by who asked for none", "gpu:a,b", "gpu:0=b", `
			gpu:2 → waits for 2 gpu: 1 of 2 are free`},
		{"must", "cpu:4 label:zone=west", "", `
			must:zone=east → can never run here: its on_node must have the label zone=east, and this machine does not have it
			must:zone=west → starts`},
		{"values of one key are alternatives", "cpu:4 label:zone=west label:disk=ssd", "", `
			must:zone=east must:zone=west must:disk=ssd → starts
			must:zone=east must:zone=west must:disk=hdd → can never run here: its on_node must have the label disk=hdd, and this machine does not have it`},
		{"may and prefer demand nothing", "cpu:4", "", `
			may:zone=east prefer:zone=east → starts`},
		{"used beyond what there is", "cpu:4", "cpu:3|cpu:3", `
			cpu:1 → waits for 1 cpu: 0 of 4 are free`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			now := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
			queue, want := parseQueue(t, c.queue, now)
			for i, a := range admit(parseMachine(t, c.machine), parseUsed(t, c.used), queue, now) {
				if got := inShort(a, queue); got != want[i] {
					t.Errorf("run %d %s;\nwant %s", i+1, got, want[i])
				}
			}
		})
	}
}

func inShort(a answer, queue []request) string {
	text := a.reason
	switch {
	case a.start && len(a.devices) > 0:
		return "starts with " + strings.Join(a.devices, ",")
	case a.start:
		return "starts"
	}
	for i, r := range queue {
		text = strings.ReplaceAll(text, r.run.String(), fmt.Sprint(i+1))
	}
	return text
}

func TestQueueIsInOrderOfPriorityThenAge(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	queue := []request{
		{run: weft.RunID{4}, made: at.Add(time.Second)},
		{run: weft.RunID{3}, made: at},
		{run: weft.RunID{2}, made: at},
		{run: weft.RunID{1}, made: at.Add(time.Hour), priority: 1},
	}
	inOrder(queue)
	for i, r := range queue {
		if int(r.run[0]) != i+1 {
			t.Errorf("place %d has run %d", i+1, r.run[0])
		}
	}
}

// Whatever is asked for, no more is given than there is, no device is given twice,
// and whoever is first in line starts if what he asks for is free.
func TestAdmitGivesNoMoreThanThereIs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
		capacity := executor.Capacity{Resources: parseResources(t, "cpu:8 memory:64"),
			Devices: map[string][]string{"gpu": {"a", "b", "c"}}}
		queue := rapid.SliceOf(rapid.Custom(func(t *rapid.T) request {
			return request{run: weft.NewID[weft.Run](), since: now.Add(-time.Duration(rapid.IntRange(0, 20).Draw(t, "waits")) * time.Minute),
				need: amounts{"cpu": rapid.Int64Range(0, 9000).Draw(t, "cpu"), "memory": rapid.Int64Range(0, 70000).Draw(t, "memory"),
					"gpu": 1000 * rapid.Int64Range(0, 4).Draw(t, "gpu")}}
		})).Draw(t, "queue")
		given, devices := amounts{}, map[string]bool{}
		for i, a := range admit(capacity, nil, queue, now) {
			if a.start == (a.reason != "") {
				t.Fatalf("run %d: starts %v, with reason %q", i, a.start, a.reason)
			}
			if !a.start {
				continue
			}
			for name, v := range queue[i].need {
				given[name] += v
			}
			for _, d := range a.devices {
				if devices[d] {
					t.Fatalf("device %s is given twice", d)
				}
				devices[d] = true
			}
			if int64(len(a.devices))*1000 != queue[i].need["gpu"] {
				t.Fatalf("run %d asked for %d gpu and got %v", i, queue[i].need["gpu"]/1000, a.devices)
			}
		}
		if given["cpu"] > 8000 || given["memory"] > 64000 || given["gpu"] > 3000 {
			t.Fatalf("given %v", given)
		}
	})
}

type fataler interface{ Fatal(args ...any) }

func parseResources(t fataler, text string) weft.Resources {
	words := map[string]string{}
	for _, w := range strings.Fields(text) {
		name, v, _ := strings.Cut(w, ":")
		words[name] = v
	}
	rs, err := weft.ParseResources(words)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

func parseMachine(t *testing.T, text string) executor.Capacity {
	t.Helper()
	var c executor.Capacity
	var plain []string
	for _, w := range strings.Fields(text) {
		name, v, _ := strings.Cut(w, ":")
		switch name {
		case "label":
			c.Labels = append(c.Labels, parseLabel(t, v))
		case "gpu":
			c.Devices = map[string][]string{"gpu": strings.Split(v, ",")}
		default:
			plain = append(plain, w)
		}
	}
	if text != "" {
		c.Resources = parseResources(t, strings.Join(plain, " "))
	}
	return c
}

func parseLabel(t *testing.T, text string) weft.Label {
	t.Helper()
	l, err := weft.ParseLabel(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func parseUsed(t *testing.T, text string) []holding {
	t.Helper()
	var held []holding
	for one := range strings.SplitSeq(text, "|") {
		plain, devices, named := strings.Cut(one, "=")
		h := holding{need: toAmounts(parseResources(t, plain))}
		if named {
			h.devices = strings.Split(devices, ",")
		}
		held = append(held, h)
	}
	return held
}

func parseQueue(t *testing.T, text string, now time.Time) (queue []request, want []string) {
	t.Helper()
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		asks, answer, _ := strings.Cut(line, " → ")
		r := request{run: weft.NewID[weft.Run](), made: now, since: now}
		var plain []string
		for _, w := range strings.Fields(asks) {
			kind, v, _ := strings.Cut(w, ":")
			switch d, err := time.ParseDuration(w); {
			case err == nil:
				r.since = now.Add(-d)
			case kind == "must":
				r.node.Must = append(r.node.Must, parseLabel(t, v))
			case kind == "may":
				r.node.May = append(r.node.May, parseLabel(t, v))
			case kind == "prefer":
				r.node.Prefer = append(r.node.Prefer, parseLabel(t, v))
			default:
				plain = append(plain, w)
			}
		}
		r.need = toAmounts(parseResources(t, strings.Join(plain, " ")))
		queue, want = append(queue, r), append(want, strings.TrimSpace(answer))
	}
	return queue, want
}
