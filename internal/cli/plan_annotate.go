package cli

import (
	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

type planAnnotateOptions struct {
	*common
	add, remove, removeKey []string
}

func newPlanAnnotate(c *common) *cobra.Command {
	o := planAnnotateOptions{common: c}
	cmd := &cobra.Command{
		Use:   "annotate PLAN",
		Short: "Add and remove annotations of a plan",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			change, err := o.parse()
			if err != nil {
				return usageError{cmd, err}
			}
			return o.changePlan(cmd.Context(), args[0], func(client *api.Client, id string) (api.PlanDetail, error) {
				return client.ChangeAnnotations(cmd.Context(), id, change)
			})
		},
	}
	cmd.Flags().StringArrayVar(&o.add, "add", nil, "`key=value` to add; repeat for several")
	cmd.Flags().StringArrayVar(&o.remove, "remove", nil, "`key=value` to remove; repeat for several")
	cmd.Flags().StringArrayVar(&o.removeKey, "remove-key", nil, "`key` whose annotations are all removed; repeat for several")
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (o *planAnnotateOptions) parse() (api.AnnotationChange, error) {
	change := api.AnnotationChange{RemoveKey: o.removeKey}
	for _, s := range o.add {
		a, err := weft.ParseAnnotation(s)
		if err != nil {
			return change, err
		}
		change.Add = append(change.Add, a.String())
	}
	for _, s := range o.remove {
		a, err := weft.ParseAnnotation(s)
		if err != nil {
			return change, err
		}
		change.Remove = append(change.Remove, a.String())
	}
	return change, nil
}
