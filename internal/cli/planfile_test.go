package cli

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

const wholePlan = `
# a comment
annotations: ["note=first = second"]
image: localhost:30503/trainer:v1.10
entrypoint: [python, -u]
args: ["--epochs", 10, --rate=0.1, ""]
inputs:
  - path: /in/train/
    tags: [type:dataset, mode: train, "knit#id:01930e5c-8c54-7a31-9f00-5a3c7e1b2d4f"]
outputs:
  - path: /out/model
    tags:
      - type:model
log: {tags: [type:log]}
active: no
on_node: {may: [a/b.c=d], must: [gpu=yes]}
resources: {cpu: 0.5, memory: 1Gi, nvidia.com/gpu: 1}
service_account: robot
allow_runs: 5
`

func TestReadPlanFile(t *testing.T) {
	t.Parallel()
	got, err := readPlanFile("plan.yaml", strings.NewReader(wholePlan))
	if err != nil {
		t.Fatal(err)
	}
	inactive := false
	want := api.PlanSpec{
		Annotations: []string{"note=first = second"},
		Image:       "localhost:30503/trainer:v1.10",
		Entrypoint:  []string{"python", "-u"},
		Args:        []string{"--epochs", "10", "--rate=0.1", ""},
		Inputs: []api.PlanSpecInput{{Mountpoint: api.Mountpoint{Path: "/in/train/", Tags: []api.Tag{
			{Key: "type", Value: "dataset"}, {Key: "mode", Value: "train"}, {Key: weft.KeyID, Value: "01930e5c-8c54-7a31-9f00-5a3c7e1b2d4f"}}}}},
		Outputs:        []api.Mountpoint{{Path: "/out/model", Tags: []api.Tag{{Key: "type", Value: "model"}}}},
		Log:            &api.LogPoint{Tags: []api.Tag{{Key: "type", Value: "log"}}},
		Active:         &inactive,
		OnNode:         &api.OnNode{May: []string{"a/b.c=d"}, Must: []string{"gpu=yes"}},
		Resources:      map[string]api.Quantity{"cpu": "0.5", "memory": "1Gi", "nvidia.com/gpu": "1"},
		ServiceAccount: "robot",
		AllowRuns:      5,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestReadPlanFileJSON(t *testing.T) {
	t.Parallel()
	spec, err := readPlanFile("plan.yaml", strings.NewReader(wholePlan))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(spec, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	again, err := readPlanFile("plan.json", strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(spec, again); diff != "" {
		t.Errorf("as JSON it is another plan (-YAML +JSON):\n%s", diff)
	}
}

// What is wrong is said with its line, and what to do about it.
func TestReadPlanFileRefusals(t *testing.T) {
	t.Parallel()
	const head = "image: a/b:c\n" // line 1
	const in = "inputs: [{path: /in, tags: [a:b]}]\n"
	for _, c := range []struct{ name, text, message, advice string }{
		{"empty", "", "p is empty", "weft plan template"},
		{"only comments", "# nothing\n", "p is empty", "weft plan template"},
		{"not YAML", "image: [", "p is not YAML", ""},
		{"text", "hello", "p:1: the plan is text; it must be a mapping", ""},
		{"a list", "- a", "p:1: the plan is a list", ""},
		{"two plans", head + in + "---\n" + head + in, "a plan file holds one plan", "a file of its own"},
		{"misspelt", head + in + "resourses: {}\n", `p:3: the plan has no field "resourses"`, "did you mean resources?"},
		{"as the guides write it", head + in + "logs: {}\n", `p:3: the plan has no field "logs"`, "did you mean log?"},
		{"unlike anything", head + in + "xyzzy: 1\n", `p:3: the plan has no field "xyzzy"`, "it can have: annotations"},
		{"hyphen", head + in + "on-node: {}\n", `no field "on-node"`, "did you mean on_node?"},
		{"in a mountpoint", head + "inputs:\n  - paht: /in\n    tags: [a:b]\n", `p:3: an input has no field "paht"`, "did you mean path?"},
		{"twice", head + in + head, `p:3: field "image" is there twice; first in line 1`, ""},
		{"no image", in, "the plan has no image", "repository:tag"},
		{"bad image", "image: UPPER:case\n" + in, "p:1: image \"UPPER:case\"", "repository:tag"},
		{"digest", "image: a/b@sha256:" + strings.Repeat("0", 64) + "\n" + in, "names a digest", ""},
		{"no inputs", head, "the plan has no inputs", "at least one"},
		{"inputs no list", head + "inputs: {path: /in}\n", "p:2: inputs is a mapping; it must be a list", "begin each item"},
		{"no path", head + "inputs:\n  - tags: [a:b]\n", "p:3: this input has no path", "path:"},
		{"no tags", head + "inputs:\n  - path: /in\n", "p:3: input /in has no tags", "at least one tag"},
		{"tag without colon", head + "inputs:\n  - path: /in\n    tags:\n      - ab\n", `p:5: tag "ab" has no colon`, "key:value"},
		{"overlap", head + "inputs:\n  - path: /in\n    tags: [a:b]\n  - path: /in/x\n    tags: [a:b]\n", "p:3: input /in and input /in/x overlap", ""},
		{"relative", head + "inputs:\n  - path: in\n    tags: [a:b]\n", `p:3: input path "in" is not absolute`, ""},
		{"system tag of an output", head + in + "outputs:\n  - path: /out\n    tags: ['knit#id:x']\n", "p:5: knit#id:x is a system tag", "remove it"},
		{"transient input", head + "inputs:\n  - path: /in\n    tags: ['knit#transient:failed']\n", "knit#transient", "of the system tags"},
		{"quantity", head + in + "resources:\n  cpu: lots\n", "p:4: resource cpu: \"lots\" is not a quantity", "500m"},
		{"negative", head + in + "resources: {cpu: -1}\n", "p:3: resource cpu: -1 is negative", ""},
		{"label", head + in + "on_node: {must: [gpu]}\n", `p:3: label "gpu" has no =`, "key=value"},
		{"active", head + in + "active: maybe\n", "p:3: active is neither true nor false", ""},
		{"allow_runs", head + in + "allow_runs: -3\n", "p:3: allow_runs is not a number from 0 on", ""},
		{"empty word", head + in + "args: [a, ]\nentrypoint: [~]\n", "p:4: an item of entrypoint is empty", `write ""`},
		{"annotation", head + in + "annotations: [abc]\n", `p:3: annotation "abc" has no =`, "key=value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := readPlanFile("p", strings.NewReader(c.text))
			var e *weft.Error
			if !errors.As(err, &e) || e.Kind != weft.Invalid {
				t.Fatalf("error %v is not Invalid", err)
			}
			if !strings.Contains(e.Message, c.message) || !strings.Contains(e.Advice, c.advice) {
				t.Errorf("got %q, advice %q\nwant %q, advice %q", e.Message, e.Advice, c.message, c.advice)
			}
		})
	}
}

func TestReadPlanFileAliases(t *testing.T) {
	t.Parallel()
	spec, err := readPlanFile("p", strings.NewReader("image: a/b:c\ninputs: [{path: /a, tags: &t [k:v]}, {path: /b, tags: *t}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(spec.Inputs[0].Tags, spec.Inputs[1].Tags); diff != "" {
		t.Error(diff)
	}
}

// No file makes the parser fail but with an error of the user's, and what it takes is
// a valid plan whose JSON it takes again.
func FuzzReadPlanFile(f *testing.F) {
	f.Add(wholePlan)
	f.Add("image: a/b\ninputs:\n- {path: /a, tags: &x [a:b, *x]}")
	f.Add("&a [*a]")
	f.Add("image: !!binary aGVsbG8=\ninputs: !!map {}\n<<: {image: x}")
	examples, err := filepath.Glob("../../examples/*/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range examples {
		text, err := os.ReadFile(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		spec, err := readPlanFile("p", strings.NewReader(text))
		if err != nil {
			if k := weft.KindOf(err); k != weft.Invalid && k != weft.TooLarge {
				t.Fatalf("%v is of kind %s", err, k)
			}
			return
		}
		plan, err := planOf(spec)
		if err == nil {
			err = plan.Normalize().Validate()
		}
		if err != nil {
			t.Fatalf("took an invalid plan: %v", err)
		}
		again, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readPlanFile("p", strings.NewReader(string(again))); err != nil {
			t.Fatalf("does not take its own JSON %s: %v", again, err)
		}
	})
}
