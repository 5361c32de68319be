package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

func newRunCopy(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "copy RUN",
		Short: "Print a plan file that does once more what a run did, on the same data",
		Long: `Prints a plan file like that of the run's plan, whose inputs are exactly the data that
the run read. Change what is to be different, the arguments for instance, and apply it:
it makes one run. (To run the very same again, use weft run retry.)`,
		Example: `  weft run copy RUN > again.yaml
  $EDITOR again.yaml
  weft plan apply again.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := one[weft.Run](args, "run")
			if err != nil {
				return err
			}
			return c.runCopy(cmd.Context(), id)
		},
	}
}

func (c *common) runCopy(ctx context.Context, id weft.RunID) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	r, err := client.Run(ctx, id.String())
	if err != nil {
		return err
	}
	if len(r.Inputs) == 0 {
		return weft.Errorf(weft.Invalid, "run %s ran no program: it stands for what somebody brought in", id)
	}
	plan, err := client.Plan(ctx, r.Plan.PlanID)
	if err != nil {
		return err
	}
	text, err := copiedPlan(plan, r)
	if err == nil {
		_, err = fmt.Fprintf(c.Out, "# What run %s did", id)
	}
	if err == nil && r.ImageDigest != "" {
		_, err = fmt.Fprintf(c.Out, ", with the image %s@%s", plan.Image, r.ImageDigest)
	}
	if err == nil {
		_, err = fmt.Fprintf(c.Out, "\n%s", text)
	}
	return err
}

// copiedPlan is the plan as a file, bound to what a run of it read.
func copiedPlan(plan api.PlanDetail, r api.RunDetail) ([]byte, error) {
	var spec api.PlanSpec
	text, err := json.Marshal(plan) // a registered plan has the fields of one to be registered, and more
	if err == nil {
		err = json.Unmarshal(text, &spec)
	}
	if err != nil {
		return nil, fmt.Errorf("copy plan: %w", err)
	}
	spec.Active, spec.Inputs = nil, nil
	spec.Name, spec.From, spec.Pair = "", "", "" // it neither replaces the plan nor chooses
	for _, in := range r.Inputs {
		if in.KnitID == "" {
			return nil, weft.Errorf(weft.NotFound, "what the run read at %s is gone", in.Path)
		}
		spec.Inputs = append(spec.Inputs, api.PlanSpecInput{Mountpoint: api.Mountpoint{Path: in.Path, Tags: []api.Tag{{Key: weft.KeyID, Value: in.KnitID}}}})
	}
	return planFile(spec)
}

// planFile writes a plan as a plan file.
func planFile(spec api.PlanSpec) ([]byte, error) {
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("write plan: %w", err)
	}
	var doc yaml.Node // JSON is YAML too; this keeps the order of the fields
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("write plan: %w", err)
	}
	plain(&doc)
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, fmt.Errorf("write plan: %w", err)
	}
	return b.Bytes(), nil
}

// plain lets everything be written in the style of YAML instead of JSON's.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plain(c)
	}
}
