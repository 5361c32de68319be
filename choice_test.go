package weft

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// dated gives Data the ids 1, 2, …, each a second later than the one before.
func dated(t tester, texts ...string) []Data {
	var data []Data
	for i, text := range texts {
		data = append(data, Data{ID: id[Data](i + 1), Tags: words(t, text), Source: Source{Status: Done}, Timestamp: time.Unix(int64(i), 0), Epoch: int64(i)})
	}
	return data
}

// matches writes assignments as "1+2 3+4", sorted.
func matches(p Plan, data []Data) string {
	var texts []string
	for _, a := range Match(p, data) {
		var ids []string
		for _, d := range a {
			ids = append(ids, fmt.Sprint(d[15]))
		}
		texts = append(texts, strings.Join(ids, "+"))
	}
	slices.Sort(texts)
	return strings.Join(texts, " ")
}

func TestChoices(t *testing.T) {
	t.Parallel()
	//                    1           2           3           4           5           6 (both days)
	data := dated(t, "a:1 day:1", "a:1 day:2", "b:1 day:1", "b:1 day:2", "b:1 day:2", "a:1 day:1 day:2", "b:1")
	for _, c := range []struct {
		plan, pair, a, b string // latest of each input: "" all, "-" the latest, or by a key
		want             string
	}{
		{"/a=a:1", "", "-", "", "6"},
		{"/a=a:1", "", "day", "", "6"},
		{"/a=b:1", "", "-", "", "7"},
		{"/a=b:1", "", "day", "", "3 5"}, // what has no day is in no group
		{"/a=a:1 /b=b:1", "day", "", "", "1+3 2+4 2+5 6+3 6+4 6+5"},
		{"/a=a:1 /b=b:1", "day", "", "day", "1+3 2+5 6+3 6+5"},
		{"/a=a:1 /b=b:1", "day", "day", "day", "6+3 6+5"},
		{"/a=a:1 /b=b:1", "day", "-", "", "6+3 6+4 6+5"},
		{"/a=a:1 /b=b:1", "day", "", "-", ""}, // the latest has no day
		{"/a=a:1 /b=b:1", "", "-", "-", "6+7"},
		{"/a=a:1 /b=a:1", "day", "", "", "1+1 1+6 2+2 2+6 6+1 6+2 6+6"}, // once each, though 6 pairs with itself twice
		{"/a=a:1 /b=b:1", "month", "", "", ""},
	} {
		p := plan(t, c.plan)
		p.Pair = c.pair
		for i, latest := range []string{c.a, c.b}[:len(p.Inputs)] {
			if latest != "" {
				p.Inputs[i].Latest = Latest{On: true, By: strings.Trim(latest, "-")}
			}
		}
		if got := matches(p, data); got != c.want {
			t.Errorf("%s, pair %q, latest %q and %q: %s; want %s", c.plan, c.pair, c.a, c.b, got, c.want)
		}
	}
}

func TestFromNowTakesWhatComesLater(t *testing.T) {
	t.Parallel()
	data := dated(t, "a:1", "a:1", "a:1")
	p := plan(t, "/a=a:1")
	p.FromNow, p.Since = true, 1
	if got := matches(p, data); got != "2 3" {
		t.Errorf("from the epoch 1 on: %s", got)
	}
	p.Inputs[0].Latest.On, p.Since = true, 3
	if got := matches(p, data); got != "" {
		t.Errorf("from the epoch 3 on: %s", got)
	}
}

// A plan that chooses makes some of the combinations that it makes without, whatever the
// order of the Data; those that share a value, and of the latest none that is hidden.
func TestChoiceProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := plan(t, rapid.SampledFrom([]string{"/a=a:1 /b=b:1", "/a=a:1 /b=a:1", "/a=a:1 /b=b:1 /c=b:1"}).Draw(t, "plan"))
		plain := p
		plain.Inputs = slices.Clone(p.Inputs)
		p.Pair = rapid.SampledFrom([]string{"", "k", "m"}).Draw(t, "pair")
		for i := range p.Inputs {
			p.Inputs[i].Latest = rapid.SampledFrom([]Latest{{}, {On: true}, {On: true, By: "k"}, {On: true, By: "m"}}).Draw(t, "latest")
		}
		tag := rapid.SampledFrom([]string{"a:1", "b:1", "k:1", "k:2", "m:1", "m:2"})
		var texts []string
		for range rapid.IntRange(0, 6).Draw(t, "data") {
			texts = append(texts, strings.Join(rapid.SliceOfN(tag, 1, 4).Draw(t, "tags"), " "))
		}
		data := dated(t, texts...)
		byID := map[DataID]Data{}
		for _, d := range data {
			byID[d.ID] = d
		}
		all := map[string]bool{}
		for _, a := range Match(plain, data) {
			all[string(a.Key())] = true
		}
		for _, a := range Match(p, data) {
			if !all[string(a.Key())] {
				t.Fatalf("%v does not fit without choosing", a)
			}
			if p.Pair != "" && len(shared(p.Pair, a, byID)) == 0 {
				t.Fatalf("%v share no value of %s", a, p.Pair)
			}
			for i, in := range p.Inputs {
				if in.Latest.On && in.Latest.By == "" && slices.ContainsFunc(data, func(d Data) bool { return p.Takes(i, d) && d.Newer(byID[a[i]]) }) {
					t.Fatalf("%v is not the latest of input %d", a[i], i)
				}
			}
		}
		if got, want := matches(p, rapid.Permutation(data).Draw(t, "shuffled")), matches(p, data); got != want {
			t.Fatalf("another order gives %s, not %s", got, want)
		}
	})
}

// shared returns the values of a tag that all Data of an assignment have.
func shared(key string, a Assignment, byID map[DataID]Data) []string {
	values := byID[a[0]].Values(key)
	for _, d := range a[1:] {
		values = slices.DeleteFunc(values, func(v string) bool { return !slices.Contains(byID[d].Values(key), v) })
	}
	return values
}

func TestIdentityOfChoosyPlans(t *testing.T) {
	t.Parallel()
	change := func(f func(*Plan)) Plan { p := plan(t, "/a=x:1 /b=y:1"); f(&p); return p.Normalize() }
	plain := plan(t, "/a=x:1 /b=y:1")
	const released = "d965fc66f6bb2135a65f9907f70f00ef09af49eb84e92e47b5100a15a6ba8340" // which databases have
	if got := plan(t, "@trainer:v1 /in/a=x:1,y:2 /in/b=z:3 -> /out=t:m log=t:l").Identity().Hex(); got != released {
		t.Errorf("the identity of a plain plan is %s", got)
	}
	if named := change(func(p *Plan) { p.Name, p.Revision, p.Since, p.State = "n", 3, 4, PlanSuperseded }); named.Identity() != plain.Identity() {
		t.Error("a name makes another plan")
	}
	seen := map[Digest]string{plain.Identity(): "plain"}
	for what, f := range map[string]func(*Plan){
		"from now":          func(p *Plan) { p.FromNow = true },
		"pair":              func(p *Plan) { p.Pair = "k" },
		"pair by another":   func(p *Plan) { p.Pair = "m" },
		"latest a":          func(p *Plan) { p.Inputs[0].Latest.On = true },
		"latest b":          func(p *Plan) { p.Inputs[1].Latest.On = true },
		"latest by k":       func(p *Plan) { p.Inputs[0].Latest = Latest{true, "k"} },
		"latest by m":       func(p *Plan) { p.Inputs[0].Latest = Latest{true, "m"} },
		"pair, latest both": func(p *Plan) { p.Pair, p.Inputs[0].Latest.On, p.Inputs[1].Latest.On = "k", true, true },
	} {
		p := change(f)
		if other, ok := seen[p.Identity()]; ok {
			t.Errorf("%s and %s count as one plan", what, other)
		}
		seen[p.Identity()] = what
	}
}

func TestRefusalsOfChoosyPlans(t *testing.T) {
	t.Parallel()
	for want, fault := range map[string]func(*Plan){
		"which the plan has only one": func(p *Plan) { p.Pair, p.Inputs = "k", p.Inputs[:1] },
		`"knit#id" is a system tag`:   func(p *Plan) { p.Pair = "knit#id" },
		"contains a colon":            func(p *Plan) { p.Pair = "a:b" },
		"begins or ends with a blank": func(p *Plan) { p.Inputs[0].Latest = Latest{true, " k"} },
		"latest by: \"knit#x\"":       func(p *Plan) { p.Inputs[1].Latest = Latest{true, "knit#x"} },
		`plan name "a b"`:             func(p *Plan) { p.Name = "a b" },
		`plan name "knit#uploaded"`:   func(p *Plan) { p.Name = PlanUploaded },
		`plan name "-a"`:              func(p *Plan) { p.Name = "-a" },
		"is not one":                  func(p *Plan) { p.Name = id[Plan](1).String() },
	} {
		p := plan(t, "/a=x:1 /b=y:1")
		fault(&p)
		if err := p.Normalize().Validate(); KindOf(err) != Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want Invalid with %q", err, want)
		}
	}
	p := plan(t, "/a=x:1 /b=y:1")
	p.Name, p.Pair, p.FromNow, p.Inputs[0].Latest = "Train.v2_a-b", "a key", true, Latest{true, "k"}
	if err := p.Normalize().Validate(); err != nil {
		t.Error(err)
	}
}

func TestGraphForgetsPlans(t *testing.T) {
	t.Parallel()
	g, plans := numbered(t, "/in=raw:1 -> /out=clean:1", "/in=clean:1 -> /out=model:1")
	gone := plans[0]
	gone.State = PlanSuperseded
	g.Add(gone)
	if up := g.Upstream(plans[1]); len(up) > 0 {
		t.Errorf("a plan that was replaced feeds another: %v", up)
	}
	if _, known := g.Plan(gone.ID); !known || len(g.Plans()) != 1 || len(g.Known()) != 2 {
		t.Error("a plan that was replaced is forgotten, or still takes part")
	}
	back := plan(t, "/in=model:1 -> /out=raw:1")
	back.ID = id[Plan](3)
	if g.Cycle(back) != nil {
		t.Error("a plan that was replaced closes a loop")
	}
	g.Add(plans[0])
	if g.Cycle(back) == nil || len(g.Upstream(plans[1])) != 1 {
		t.Error("a plan that was put in place again takes no part")
	}
	if g.Closes(back, plans[0].ID) != nil {
		t.Error("a plan that takes the place of one in a loop is refused")
	}
}
