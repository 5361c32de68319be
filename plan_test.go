package weft

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// Every reason to refuse a plan, in the order in which they are checked: a plan with
// the faults of several rows is refused for the first of them.
func TestPlanRefusals(t *testing.T) {
	t.Parallel()
	in := func(path string, texts ...string) func(*Plan) {
		return func(p *Plan) { p.Inputs = append(p.Inputs, Input{Path: path, Tags: tags(t, texts...)}) }
	}
	out := func(path string, texts ...string) func(*Plan) {
		return func(p *Plan) { p.Outputs = append(p.Outputs, Output{path, tags(t, texts...)}) }
	}
	must := func(key, value string) func(*Plan) {
		return func(p *Plan) { p.OnNode.Must = append(p.OnNode.Must, Label{key, value}) }
	}
	stamp, other := "knit#timestamp:2026-01-02T03:04:05Z", "knit#timestamp:2026-01-02T03:04:06Z"
	rows := []struct {
		fault func(*Plan)
		want  string
	}{
		{func(p *Plan) { p.OnNode.May = []Label{{"", "x"}} }, "a label has no key"},
		{must("-a/b", "x"), `the prefix of label key "-a/b"`},
		{must(strings.Repeat("a.", 127)+"a/b", "x"), "at most 253"},
		{must("a/b/c", "x"), `label key "a/b/c"`},
		{must("b b", "x"), `label key "b b"`},
		{must(strings.Repeat("k", 64), "x"), "is not a Kubernetes label key"},
		{must("n", ""), "label n has no value"},
		{must("n", "-x"), `the value "-x" of label n`},
		{must("n", strings.Repeat("v", 64)), "is not a Kubernetes label value"},
		{func(p *Plan) { p.OnNode.Prefer = []Label{{"a", "?"}} }, "of label a"}, // modes in the order of their names
		{func(p *Plan) { p.Image.Tag = "" }, "the plan has no image"},
		{func(p *Plan) { p.Image = Image{} }, "the plan has no image"},
		{func(p *Plan) { p.Inputs = nil }, "the plan has no inputs"},
		{in("/", "a:1"), "an input has no path"},
		{in("", "a:1"), "an input has no path"},
		{out(""), "an output has no path"},
		{in("a", "a:1"), `input path "a" is not absolute`},
		{in("/a/../b", "a:1"), `input path "/a/../b" is not clean`},
		{in("/a//b", "a:1"), "is not clean"},
		{in("/a/.", "a:1"), "is not clean"},
		{in("/"+strings.Repeat("a", 4096), "a:1"), "longer than 4096"},
		{in("/a\x00", "a:1"), "NUL"},
		{in("/b"), "input /b has no tags"},
		{in("/c1", "knit#transient:failed", "knit#id:1", "knit#id:2"), "the system tag knit#transient:failed"},
		{in("/c2", "knit#id:1", "knit#id:2", "knit#a:b"), "more than one knit#id"},
		{in("/c3", stamp, other, "knit#z:b"), "more than one knit#timestamp"},
		{in("/c4", "knit#z:b"), "the system tag knit#z:b"},
		{in("/in/data/sub", "a:1"), "input /in/data and input /in/data/sub overlap"},
		{in("/out/model/x", "a:1"), "input /out/model/x and output /out/model overlap"},
		{out("b"), `output path "b" is not absolute`},
		{out("/q", "knit#id:1"), "output /q has the system tag knit#id:1"},
		{out("/q", "knit#no:1"), "output /q has the system tag knit#no:1"},
		{out("/out/model"), "output /out/model and output /out/model overlap"},
		{func(p *Plan) { p.Log = &Log{tags(t, stamp)} }, "the log has the system tag"},
		{func(p *Plan) { p.Args = []string{"a\x00b"} }, "entrypoint or args"},
		{func(p *Plan) { p.ServiceAccount = strings.Repeat("s", 64) }, "service_account is longer than 63"},
	}
	for _, row := range rows {
		p := plan(t, "/in/data=type:csv -> /out/model=type:model log=type:log")
		row.fault(&p)
		if err := p.Normalize().Validate(); KindOf(err) != Invalid || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%v; want Invalid with %q", err, row.want)
		}
	}
	stages := []int{0, 10, 12, 13, 15, 22, 23, 24, 26, 33, 35} // one of each, to be told before the next
	for i, first := range stages {
		p := plan(t, "/in/data=type:csv -> /out/model=type:model log=type:log")
		for _, row := range slices.Backward(stages[i:]) {
			rows[row].fault(&p)
		}
		if err := p.Normalize().Validate(); err == nil || !strings.Contains(err.Error(), rows[first].want) {
			t.Errorf("faults %v: %v; want the one of %q first", stages[i:], err, rows[first].want)
		}
	}
}

func TestPlansThatAreFine(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"/in=type:csv",
		"/in/a=x:1 /in/ab=x:1 -> /in/abc", // a common prefix is no overlap
		"/in=x:1 -> /out /log log",        // the log may share its path with an output
		"/in=knit#id:" + id[Data](1).String(),
		"/in=knit#timestamp:2026-01-02T03:04:05.678+00:00,x:1",
		"/in=knit#timestamp:2026-01-02T03:04:05Z,knit#timestamp:2026-01-02T04:04:05+01:00", // one instant
		"/in/=x:1 -> /out/=y:2",
	} {
		if err := plan(t, text).Validate(); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	p := plan(t, "/in=x:1")
	for _, text := range []string{"a.b=1", "a_b=1", "nvidia.com/gpu.product=A100-SXM4.40GB", "zone=eu"} { // refused by Knitfab
		l, err := ParseLabel(text)
		if err != nil {
			t.Fatal(err)
		}
		p.OnNode.Must = append(p.OnNode.Must, l)
	}
	if err := p.Normalize().Validate(); err != nil {
		t.Error(err)
	}
}

func TestNormalize(t *testing.T) {
	t.Parallel()
	p := plan(t, "/b/=x:1 /a=x:1 -> /z/ /y")
	p.OnNode.May = []Label{{"b", "1"}, {"a", "2"}, {"a", "1"}, {"a", "2"}}
	p.Annotations = Annotations{{"b", "1"}, {"a", "1"}, {"b", "1"}}
	got := p.Normalize()
	if got.Inputs[0].Path != "/a" || got.Inputs[1].Path != "/b" || got.Outputs[0].Path != "/y" || got.Outputs[1].Path != "/z" {
		t.Errorf("mounts are not sorted by path: %v, %v", got.Inputs, got.Outputs)
	}
	if !slices.Equal(got.OnNode.May, []Label{{"a", "1"}, {"a", "2"}, {"b", "1"}}) {
		t.Errorf("labels are %v", got.OnNode.May)
	}
	if len(got.Annotations) != 2 || got.Annotations[0].Key != "a" {
		t.Errorf("annotations are %v", got.Annotations)
	}
	if want := map[string]string{"cpu": "1", "memory": "1Gi"}; !maps.Equal(got.Resources.Strings(), want) {
		t.Errorf("resources are %v; want %v", got.Resources.Strings(), want)
	}
	if p.OnNode.May[0].Key != "b" {
		t.Error("the original was changed")
	}
}

func TestResources(t *testing.T) {
	t.Parallel()
	rs, err := ParseResources(map[string]string{"cpu": "0.5", "memory": "1024Mi", "nvidia.com/gpu": "2"})
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "2"}; !maps.Equal(rs.WithDefaults().Strings(), want) {
		t.Errorf("got %v; want %v", rs.Strings(), want)
	}
	for name, text := range map[string]string{"cpu": "much", "memory": "-1Gi", "": "1", "gpu": ""} {
		if _, err := ParseResources(map[string]string{name: text}); KindOf(err) != Invalid {
			t.Errorf("%s=%s: %v; want Invalid", name, text, err)
		}
	}
}

func TestAnnotations(t *testing.T) {
	t.Parallel()
	a, err := ParseAnnotation(" key = a = b ")
	if err != nil || a != (Annotation{"key", "a = b"}) {
		t.Errorf("got %q, %v", a, err)
	}
	for _, text := range []string{"no sign", strings.Repeat("k", 254) + "=v", "k=" + strings.Repeat("v", 1<<20+1), "k=\xff", "k\x00=v"} {
		if _, err := ParseAnnotation(text); KindOf(err) != Invalid {
			t.Errorf("%.40q: %v; want Invalid", text, err)
		}
	}
	c := AnnotationChange{Add: Annotations{{"a", "3"}}, Remove: Annotations{{"b", "1"}}, RemoveKey: []string{"a"}}
	if got := c.Apply(Annotations{{"a", "1"}, {"a", "2"}, {"b", "1"}, {"b", "2"}}); !slices.Equal(got, Annotations{{"a", "3"}, {"b", "2"}}) {
		t.Errorf("got %v", got)
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	const base = "@trainer:v1 /in/a=x:1,y:2 /in/b=z:3 -> /out=t:m log=t:l"
	change := func(f func(*Plan)) Plan { p := plan(t, base); f(&p); return p.Normalize() }
	same := map[string]Plan{
		"another order":       plan(t, "@trainer:v1 /in/b=z:3 /in/a/=y:2,x:1 -> /out/=t:m log=t:l"),
		"inactive":            change(func(p *Plan) { p.Active = false }),
		"other resources":     change(func(p *Plan) { p.Resources, _ = ParseResources(map[string]string{"cpu": "9"}) }),
		"service account":     change(func(p *Plan) { p.ServiceAccount = "robot" }),
		"annotations":         change(func(p *Plan) { p.Annotations = Annotations{{"a", "b"}} }),
		"other id and limits": change(func(p *Plan) { p.ID, p.Rev, p.AllowRuns, p.PendingRuns = id[Plan](1), 3, 4, 5 }),
		"empty entrypoint":    change(func(p *Plan) { p.Entrypoint = []string{} }),
	}
	for what, p := range same {
		if p.Identity() != plan(t, base).Identity() {
			t.Errorf("%s makes another plan", what)
		}
	}
	different := map[string]Plan{
		"base":            plan(t, base),
		"image tag":       plan(t, "@trainer:v2 /in/a=x:1,y:2 /in/b=z:3 -> /out=t:m log=t:l"),
		"image":           plan(t, "@other:v1 /in/a=x:1,y:2 /in/b=z:3 -> /out=t:m log=t:l"),
		"no log":          plan(t, "@trainer:v1 /in/a=x:1,y:2 /in/b=z:3 -> /out=t:m"),
		"log as output":   plan(t, "@trainer:v1 /in/a=x:1,y:2 /in/b=z:3 -> /out=t:m /log=t:l"),
		"tags elsewhere":  plan(t, "@trainer:v1 /in/a=x:1 /in/b=y:2,z:3 -> /out=t:m log=t:l"),
		"output as input": plan(t, "@trainer:v1 /in/a=x:1,y:2 /in/b=z:3 /out=t:m -> log=t:l"),
		"args":            change(func(p *Plan) { p.Args = []string{"a", "b"} }),
		"args joined":     change(func(p *Plan) { p.Args = []string{"ab"} }),
		"entrypoint":      change(func(p *Plan) { p.Entrypoint = []string{"a", "b"} }),
		"may":             change(func(p *Plan) { p.OnNode.May = []Label{{"a", "b"}} }),
		"prefer":          change(func(p *Plan) { p.OnNode.Prefer = []Label{{"a", "b"}} }),
		"must":            change(func(p *Plan) { p.OnNode.Must = []Label{{"a", "b"}} }),
	}
	seen := map[Digest]string{}
	for what, p := range different {
		if other, ok := seen[p.Identity()]; ok {
			t.Errorf("%s and %s count as one plan", what, other)
		}
		seen[p.Identity()] = what
	}
	utc, local := plan(t, "/in=knit#timestamp:2026-01-02T03:04:05Z"), plan(t, "/in=knit#timestamp:2026-01-02T04:04:05.000+01:00")
	if utc.Identity() != local.Identity() {
		t.Error("one instant written in two ways makes two plans")
	}
}
