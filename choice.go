package weft

import (
	"bytes"
	"slices"
)

// A Latest has an input take only the newest of the Data that fit it: of all or, if By
// is not "", of those that share a value of the tag with that key.
type Latest struct {
	On bool
	By string // implies On
}

// IsZero reports whether every Data is taken, new or not.
func (l Latest) IsZero() bool { return !l.On && l.By == "" }

// Choosy reports whether p leaves out combinations of Data that fit its inputs, or
// whether it is enough to know what fits each of them.
func (p Plan) Choosy() bool {
	return p.Pair != "" || slices.ContainsFunc(p.Inputs, func(in Input) bool { return !in.Latest.IsZero() })
}

// Newer reports whether d came later than e: by timestamp and, where these are equal,
// by id, so that of any two Data one is newer.
func (d Data) Newer(e Data) bool {
	if !d.Timestamp.Equal(e.Timestamp) {
		return d.Timestamp.After(e.Timestamp)
	}
	return bytes.Compare(d.ID[:], e.ID[:]) > 0
}

// Values returns the values that d has of a tag, sorted.
func (d Data) Values(key string) []string {
	var values []string
	for _, t := range d.Tags {
		if t.Key() == key {
			values = append(values, t.Value())
		}
	}
	return values
}

// A Choice is what may be combined with each other: every combination of one Data per
// input is an assignment.
type Choice struct {
	Value string   // of the tag Pair, which all of these Data have; "" without Pair
	Data  [][]Data // per input
}

// Choices returns what a Plan combines of the Data that its inputs take: one Choice or,
// with Pair, one per value for which every input has something. A Data with several
// values is in the Choice of each, so that a combination may be in several.
//
// What is the latest is decided before inputs are joined; only where an input takes the
// latest by the very key that joins, the latest of the joining value counts.
func (p Plan) Choices(fits [][]Data) []Choice {
	latest := make([][]Data, len(fits))
	for i, in := range p.Inputs {
		switch {
		case in.Latest.By != "" && in.Latest.By == p.Pair:
			latest[i] = fits[i] // decided below, per value
		default:
			latest[i] = in.Latest.Of(fits[i])
		}
	}
	if p.Pair == "" {
		return []Choice{{Data: latest}}
	}
	var choices []Choice
	byValue := make([]map[string][]Data, len(latest))
	for i, list := range latest {
		byValue[i] = map[string][]Data{}
		for _, d := range list {
			for _, v := range d.Values(p.Pair) {
				byValue[i][v] = append(byValue[i][v], d)
			}
		}
		if p.Inputs[i].Latest.By == p.Pair {
			for v, list := range byValue[i] {
				byValue[i][v] = newest(list)
			}
		}
	}
	for v := range byValue[0] {
		c := Choice{Value: v, Data: make([][]Data, len(latest))}
		whole := true
		for i := range latest {
			c.Data[i] = byValue[i][v]
			whole = whole && len(c.Data[i]) > 0
		}
		if whole {
			choices = append(choices, c)
		}
	}
	slices.SortFunc(choices, func(a, b Choice) int { return bytes.Compare([]byte(a.Value), []byte(b.Value)) })
	return choices
}

// Of returns those of the Data that are the latest, in their order.
func (l Latest) Of(data []Data) []Data {
	switch {
	case l.IsZero():
		return data
	case l.By == "":
		return newest(data)
	}
	top := map[string]Data{}
	for _, d := range data {
		for _, v := range d.Values(l.By) {
			if was, ok := top[v]; !ok || d.Newer(was) {
				top[v] = d
			}
		}
	}
	is := map[DataID]bool{}
	for _, d := range top {
		is[d.ID] = true
	}
	var out []Data
	for _, d := range data {
		if is[d.ID] {
			out = append(out, d)
		}
	}
	return out
}

// newest returns the newest Data as a list.
func newest(data []Data) []Data {
	var top []Data
	for _, d := range data {
		if len(top) == 0 || d.Newer(top[0]) {
			top = []Data{d}
		}
	}
	return top
}
