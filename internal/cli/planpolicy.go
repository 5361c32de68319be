package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// policy reads those fields of a plan file that say how its runs are run.
func (p *planParser) policy(s *api.PlanSpec, key string, v *yaml.Node) {
	switch key {
	case "timeout":
		s.Timeout = p.span(v, key)
	case "grace":
		s.Grace = p.span(v, key)
	case "concurrency":
		s.Concurrency = p.number(v, key)
	case "env":
		s.Env = p.words(v, key)
	case "secrets":
		s.Secrets = p.words(v, key)
	case "retry":
		s.Retry = &api.Retry{}
		p.fields(v, "retry", []string{"limit", "backoff", "on_exit"}, func(key string, v *yaml.Node) {
			switch key {
			case "limit":
				s.Retry.Limit = p.number(v, "limit")
			case "backoff":
				s.Retry.Backoff = p.span(v, "backoff")
			case "on_exit":
				p.items(v, "on_exit", func(item *yaml.Node) {
					s.Retry.OnExit = append(s.Retry.OnExit, api.ExitWord(p.text(item, "an item of on_exit")))
				})
			}
		})
	}
}

// span reads a length of time.
func (p *planParser) span(n *yaml.Node, what string) string {
	text := p.text(n, what)
	if _, err := weft.ParseSpan(text); err != nil {
		p.fail(n, fmt.Errorf("%s: %w", what, err))
	}
	return text
}

// words reads a mapping of names to texts.
func (p *planParser) words(n *yaml.Node, what string) map[string]string {
	out := map[string]string{}
	if n.Kind != yaml.MappingNode {
		p.failf(n, "write one NAME: value per line", "%s is %s; it must be a mapping", what, kindName(n))
		return out
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, v := n.Content[i], resolve(n.Content[i+1])
		if _, again := out[name.Value]; again {
			p.failf(name, "", "%q is twice in %s", name.Value, what)
		}
		if isNull(v) {
			p.failf(v, "to give an empty value write \"\"", "%s in %s is empty", name.Value, what)
		}
		out[name.Value] = p.text(v, name.Value)
	}
	return out
}

func policyTexts(timeout, grace string, r *api.Retry, concurrency int64) weft.PolicyTexts {
	t := weft.PolicyTexts{Timeout: timeout, Grace: grace, Concurrency: concurrency}
	if r != nil {
		t.Limit, t.Backoff = r.Limit, r.Backoff
		for _, word := range r.OnExit {
			t.OnExit = append(t.OnExit, string(word))
		}
	}
	return t
}

type planPolicyOptions struct {
	*common
	timeout, grace, backoff string
	retry, concurrency      int64
	onExit                  []string
}

func newPlanPolicy(c *common) *cobra.Command {
	o := planPolicyOptions{common: c}
	cmd := &cobra.Command{
		Use:   "policy PLAN",
		Short: "Change timeout, grace, retry and concurrency of a plan",
		Long: `Change how the runs of a plan are run: their timeout, the grace between the request to end and
the end, which failures are tried again, and how many run at once. What is not named stays.
Runs under way follow. Nothing runs again for it.`,
		Example: `  weft plan policy PLAN --timeout 2h --retry 3 --backoff 1m --on-exit lost,oom,75
  weft plan policy PLAN --concurrency 0`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := one[weft.Plan](args, "plan")
			if err != nil {
				return err
			}
			change, err := o.parse(cmd)
			if err != nil {
				return usageError{cmd, err}
			}
			return o.do(cmd.Context(), id, change)
		},
	}
	cmd.Flags().StringVar(&o.timeout, "timeout", "", "end an attempt after that `long`, like 2h; \"\" for never")
	cmd.Flags().StringVar(&o.grace, "grace", "", "`time` between the request to end and the end, like 30s; \"\" for the default")
	cmd.Flags().Int64Var(&o.retry, "retry", 0, "try a failed run again so many `times`; 0 for never")
	cmd.Flags().StringVar(&o.backoff, "backoff", "", "with --retry: `pause` before the first, doubled before each that follows (default 10s)")
	cmd.Flags().StringSliceVar(&o.onExit, "on-exit", nil, "with --retry: only these exit `codes` and reasons: "+strings.Join(weft.RetryWords, ", "))
	cmd.Flags().Int64Var(&o.concurrency, "concurrency", 0, "let so many `runs` be under way at once; 0 for any number")
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (o *planPolicyOptions) parse(cmd *cobra.Command) (api.PolicyChange, error) {
	var change api.PolicyChange
	set := cmd.Flags().Changed
	if set("timeout") {
		change.Timeout = &o.timeout
	}
	if set("grace") {
		change.Grace = &o.grace
	}
	if set("concurrency") {
		change.Concurrency = &o.concurrency
	}
	if set("retry") {
		change.Retry = &api.Retry{Limit: o.retry, Backoff: o.backoff}
		for _, word := range o.onExit {
			change.Retry.OnExit = append(change.Retry.OnExit, api.ExitWord(word))
		}
	} else if set("backoff") || set("on-exit") {
		return change, errors.New("--backoff and --on-exit go with --retry")
	}
	if change == (api.PolicyChange{}) {
		return change, errors.New("say what to change")
	}
	_, err := weft.ParsePolicy(policyTexts(o.timeout, o.grace, change.Retry, o.concurrency))
	return change, err
}

func (o *planPolicyOptions) do(ctx context.Context, id weft.PlanID, change api.PolicyChange) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	p, err := client.ChangePolicy(ctx, id.String(), change)
	if err != nil {
		return err
	}
	return o.printPlan(p)
}

// policyFacts tells how the runs of a plan are run.
func policyFacts(f *facts, p api.PlanDetail) {
	f.add("timeout", p.Timeout)
	f.add("grace", p.Grace)
	if r := p.Retry; r != nil {
		text := fmt.Sprintf("%s, after %s", count(r.Limit, "time"), r.Backoff)
		if r.Backoff == "" {
			text = fmt.Sprintf("%s, after %s", count(r.Limit, "time"), weft.DefaultBackoff)
		}
		if len(r.OnExit) > 0 {
			words := make([]string, len(r.OnExit))
			for i, w := range r.OnExit {
				words[i] = string(w)
			}
			text += ", on " + strings.Join(words, ", ")
		}
		f.add("retry", text)
	}
	if p.Concurrency > 0 {
		f.add("at once", count(p.Concurrency, "run"))
	}
	for _, name := range slices.Sorted(maps.Keys(p.Env)) {
		f.add("env", printable(name+"="+p.Env[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(p.Secrets)) {
		f.add("env", printable(name)+" from secret "+printable(p.Secrets[name]))
	}
}
