package server

import (
	"bytes"
	"encoding/json"

	"github.com/danielgtaylor/huma/v2"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// dryRunFirst is how many runs of each plan a dry run names.
const dryRunFirst = 20

// DryRunParam is the parameter of operations that can say what they would do.
type DryRunParam struct {
	DryRun string `query:"dry_run" doc:"change nothing; answer which runs the change would make"`
	dry    bool
}

// Resolve reads the parameter, which may also be there without a value.
func (p *DryRunParam) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	var err error
	if p.dry, err = flagOf(u.Query(), "dry_run"); err != nil {
		return []error{err}
	}
	if n := weft.AuditOf(ctx.Context()); n != nil && p.dry {
		n.Action = "" // nothing is changed
	}
	return nil
}

// changed is the answer to a change or, if that was asked for, to its dry run.
type changed[T any] struct {
	done  T
	would *api.DryRun
}

// MarshalJSON writes the one that there is.
func (c changed[T]) MarshalJSON() ([]byte, error) {
	var v any = c.done
	if c.would != nil {
		v = c.would
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// Schema implements huma.SchemaProvider.
func (c changed[T]) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{schemaOf[T](r), schemaOf[api.DryRun](r)}}
}

// did and would make the two answers.
func did[T any](v T, err error) (*body[changed[T]], error) {
	return answer(changed[T]{done: v}, err)
}

func (s *Server) would(plans []weft.PlanRuns) *api.DryRun {
	d := wireDryRun(plans, s.RunLimit)
	return &d
}
