package weft_test

import (
	"fmt"

	"github.com/weft-dev/weft"
)

func ExampleParseTag() {
	t, err := weft.ParseTag("source: https://example.org/digits")
	fmt.Println(t.Key(), t.Value(), err)
	_, err = weft.ParseTag("digits")
	fmt.Println(err)
	// Output:
	// source https://example.org/digits <nil>
	// tag "digits" has no colon
}

// One training set and two test sets make two runs of an evaluation.
func ExampleMatch() {
	push := func(texts ...string) weft.Data {
		tags, _ := weft.ParseTags(texts...) // the texts are constants
		return weft.Data{ID: weft.NewID[weft.Data](), Tags: tags, Source: weft.Source{Status: weft.Done}}
	}
	model, _ := weft.ParseTags("type:model")
	digits, _ := weft.ParseTags("type:digits", "use:test")
	evaluate := weft.Plan{Inputs: []weft.Input{{Path: "/in/model", Tags: model}, {Path: "/in/digits", Tags: digits}}}

	data := []weft.Data{push("type:model"), push("type:digits", "use:test"), push("type:digits", "use:test", "from:archive"), push("type:digits", "use:train")}
	fmt.Println(len(weft.Match(evaluate, data)))
	fmt.Println(evaluate.Inputs[1].Misses(data[3]).Strings())
	// Output:
	// 2
	// [use:test]
}

// A plan that makes what an earlier step reads would make runs for ever.
func ExamplePlanGraph_Cycle() {
	plan := func(in, out string) weft.Plan {
		reads, _ := weft.ParseTags(in) // the texts are constants
		makes, _ := weft.ParseTags(out)
		return weft.Plan{ID: weft.NewID[weft.Plan](), Inputs: []weft.Input{{Path: "/in", Tags: reads}}, Outputs: []weft.Output{{Path: "/out", Tags: makes}}}
	}
	g := weft.NewPlanGraph()
	g.Add(plan("step:1", "step:2"))
	fmt.Println(len(g.Cycle(plan("step:2", "step:3"))))
	fmt.Println(len(g.Cycle(plan("step:2", "step:1")))) // from itself, over the other, back to itself
	// Output:
	// 0
	// 3
}
