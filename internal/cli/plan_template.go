package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"github.com/weft-dev/weft"
)

type planTemplateOptions struct {
	*common
	scratch bool
	input   string
}

func newPlanTemplate(c *common) *cobra.Command {
	o := planTemplateOptions{common: c}
	cmd := &cobra.Command{
		Use:   "template [IMAGE]",
		Short: "Write a plan file for an image, to be edited and applied",
		Long: `Write a plan file with explanations, made from an image as docker save writes it, or from
nothing. Paths in the image's command line and volumes that have an element "in" become inputs,
those with "out" outputs. The knitenv file adds its tags to each, and its resources.`,
		Example: `  docker save trainer:v1 | weft plan template trainer:v1 > trainer.yaml
  weft plan template --scratch > plan.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.scratch && len(args) > 0 {
				return usagef(cmd, "--scratch takes no image")
			}
			name := strings.Join(args, "")
			if name != "" {
				if _, err := weft.ParseImage(name); err != nil {
					return usageError{cmd, err}
				}
			}
			return o.do(name)
		},
	}
	cmd.Flags().BoolVar(&o.scratch, "scratch", false, "begin from nothing")
	cmd.Flags().StringVarP(&o.input, "input", "i", "-", "`file` that docker save has written; - is standard input")
	return cmd
}

func (o *planTemplateOptions) do(name string) error {
	env, err := o.project()
	if err != nil {
		return err
	}
	tags, err := env.userTags()
	if err != nil {
		return fmt.Errorf("%s: %w", o.knitenvPath(), err)
	}
	if _, err := weft.ParseResources(env.Resources); err != nil {
		return fmt.Errorf("%s: %w", o.knitenvPath(), err)
	}
	t := planTemplate{image: "image:version"}
	if !o.scratch {
		if t, err = o.fromImage(name); err != nil {
			return err
		}
	}
	if err := t.complete(tags, o.scratch); err != nil {
		return err
	}
	t.resources = map[string]string{"cpu": "1", "memory": "1Gi"}
	maps.Copy(t.resources, env.Resources)
	_, err = io.WriteString(o.Out, t.text())
	return err
}

func (o *planTemplateOptions) fromImage(name string) (planTemplate, error) {
	f, err := o.open(o.input)
	if err != nil {
		return planTemplate{}, err
	}
	defer f.Close()
	found, err := readImageConfigs(f)
	if err != nil {
		return planTemplate{}, err
	}
	c, err := pickImage(found, name)
	if err != nil {
		return planTemplate{}, err
	}
	t := planTemplate{image: name, entrypoint: c.Config.Entrypoint, args: c.Config.Cmd}
	if name == "" && len(c.tags) > 0 {
		t.image = c.tags[0]
	}
	if img, err := weft.ParseImage(t.image); err == nil {
		t.image = img.String()
	} else {
		t.image = "image:version"
	}
	t.inputs, t.outputs = c.mountpoints()
	return t, nil
}

// A planTemplate is a plan file about to be written.
type planTemplate struct {
	image            string
	entrypoint, args []string
	inputs, outputs  []mountpoint
	log              weft.Tags
	resources        map[string]string
}

// complete gives the mountpoints their tags, those of the project and a type, and adds
// examples where there are none, so that the plan can be applied as it is: it needs
// an input, and no output may feed it.
func (t *planTemplate) complete(tags weft.Tags, example bool) error {
	if len(t.inputs) == 0 {
		t.inputs = []mountpoint{{path: "/in"}}
	}
	if len(t.outputs) == 0 && example {
		t.outputs = []mountpoint{{path: "/out"}}
	}
	mount := tags
	if len(tags) == 0 && example {
		mount = weft.NewTags(must(weft.NewTag("example", "tag")))
	}
	t.log = weft.NewTags(append(slices.Clone(tags), must(weft.NewTag("type", "log")))...)
	outputs := []weft.Tags{t.log}
	for _, ms := range [][]mountpoint{t.outputs, t.inputs} {
		for i := range ms {
			ms[i].tags = mount
			if ms[i].kind == "" {
				continue
			}
			kind, err := weft.NewTag("type", ms[i].kind)
			if err != nil {
				return err
			}
			ms[i].tags = weft.NewTags(append(slices.Clone(mount), kind)...)
		}
	}
	for _, out := range t.outputs {
		outputs = append(outputs, out.tags)
	}
	for i, in := range t.inputs {
		fed := slices.ContainsFunc(outputs, func(out weft.Tags) bool { return out.HasAll(in.tags) })
		if fed { // an input without tags counts too
			t.inputs[i].tags = weft.NewTags(append(slices.Clone(in.tags), must(weft.NewTag("type", "input")))...)
		}
	}
	return nil
}

// text writes the plan file.
func (t planTemplate) text() string {
	var b strings.Builder
	section := func(comment, format string, args ...any) {
		for line := range strings.SplitSeq(comment, "\n") {
			fmt.Fprintln(&b, strings.TrimRight("# "+line, " "))
		}
		fmt.Fprintf(&b, format+"\n\n", args...)
	}
	section("annotations: notes for people, key=value. They change nothing.", "annotations: []")
	section("image: the container image to run, as weft image ls names it, or repository:tag of another\nregistry. Each run records the digest it ran.", "image: %s", yamlText(t.image))
	section("entrypoint: the program. Leave it out to use the image's own.", "%s", yamlWords("entrypoint", t.entrypoint))
	section("args: the program's arguments. Leave it out to use the image's own.", "%s", yamlWords("args", t.args))
	section("inputs: at least one. The plan runs on every combination of data that have all of the tags,\nmounted read-only at path.", "%s", yamlMounts("inputs", t.inputs))
	section("outputs: what the program leaves at path becomes data with these tags.", "%s", yamlMounts("outputs", t.outputs))
	section("log: what the program prints becomes data with these tags. Leave it out to keep no log.", "log:\n%s", strings.TrimRight(yamlTags("  ", t.log), "\n"))
	section("active: whether the plan runs. Inactive plans wait until weft plan active yes.", "active: true")
	var limits strings.Builder
	for _, name := range slices.Sorted(maps.Keys(t.resources)) {
		fmt.Fprintf(&limits, "\n  %s: %s", yamlText(name), yamlText(t.resources[name]))
	}
	section("resources: what each run may use; weft cluster info tells what there is.", "resources:%s", limits.String())
	b.WriteString(templateEnd)
	return b.String()
}

const templateEnd = `# on_node: where runs may, should and must run, by labels of machines (key=value).
# on_node:
#   may: []
#   prefer: []
#   must: []

# service_account: for runs on Kubernetes.
# service_account: name
`

// yamlText writes a string so that it is read back as this string, on one line.
func yamlText(s string) string {
	if text, err := yaml.Marshal(s); err == nil && strings.Count(string(text), "\n") == 1 {
		return strings.TrimSuffix(string(text), "\n")
	}
	return jsonText(s) // JSON is YAML
}

func jsonText(s string) string {
	text, err := encodeIndented(s)
	if err != nil {
		return `""` // no string fails to be JSON
	}
	return string(text)
}

func yamlWords(name string, words []string) string {
	if len(words) == 0 {
		return "# " + name + ": []"
	}
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = jsonText(w)
	}
	return name + ": [" + strings.Join(quoted, ", ") + "]"
}

func yamlMounts(name string, ms []mountpoint) string {
	if len(ms) == 0 {
		return name + ": []\n#  - path: /out\n#    tags:\n#      - type:result"
	}
	var b strings.Builder
	b.WriteString(name + ":")
	for _, m := range ms {
		fmt.Fprintf(&b, "\n  - path: %s\n%s", yamlText(m.path), strings.TrimRight(yamlTags("    ", m.tags), "\n"))
	}
	return b.String()
}

func yamlTags(indent string, tags weft.Tags) string {
	if len(tags) == 0 {
		return indent + "tags: []\n"
	}
	var b strings.Builder
	b.WriteString(indent + "tags:\n")
	for _, t := range tags {
		fmt.Fprintf(&b, "%s  - %s\n", indent, yamlText(t.String()))
	}
	return b.String()
}

// must is for tags that are written in this file.
func must(t weft.Tag, err error) weft.Tag {
	if err != nil {
		panic(err)
	}
	return t
}
