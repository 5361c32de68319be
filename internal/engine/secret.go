package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/weft-dev/weft"
)

// Secrets has the values that Plans name.
type Secrets interface {
	// Missing returns which of the names are of no secret of the project.
	Missing(ctx context.Context, project weft.ProjectID, names []string) ([]string, error)

	// Give returns the values for an attempt, by name, and keeps in mind that it was given
	// them, so that they can be masked in its log. Unavailable when one is missing.
	Give(ctx context.Context, project weft.ProjectID, a weft.Attempt, names []string) (map[string]string, error)

	// Sweep forgets what was given to attempts that are over.
	Sweep(ctx context.Context) error
}

// environment is what the Plan adds to the environment of its programs.
func (e *Engine) environment(ctx context.Context, r weft.Run, p *weft.Plan) ([]string, error) {
	var values map[string]string
	if names := p.SecretNames(); len(names) > 0 {
		if e.Secrets == nil {
			return nil, weft.Errorf(weft.Unavailable, "%s", waitsForSecrets(names))
		}
		var err error
		if values, err = e.Secrets.Give(ctx, r.Project, r.Current(), names); err != nil {
			return nil, fmt.Errorf("read secrets: %w", err)
		}
	}
	env := make([]string, len(p.Env))
	for i, v := range p.Env {
		env[i] = v.Name + "=" + v.Value
		if v.Secret != "" {
			env[i] = v.Name + "=" + values[v.Secret]
		}
	}
	return env, nil
}

// lackingSecrets says of the plans in the queue that name secrets which are not there what
// their Runs wait for.
func (e *Engine) lackingSecrets(ctx context.Context) (map[weft.PlanID]string, error) {
	lacks := map[weft.PlanID]string{}
	seen := map[weft.PlanID]bool{}
	for _, w := range e.queue.waiting {
		if len(w.plan.Env) == 0 || seen[w.plan.ID] {
			continue
		}
		seen[w.plan.ID] = true
		missing := w.plan.SecretNames()
		if len(missing) > 0 && e.Secrets != nil {
			var err error
			if missing, err = e.Secrets.Missing(ctx, w.plan.Project, missing); err != nil {
				return nil, fmt.Errorf("look for secrets: %w", err)
			}
		}
		if len(missing) > 0 {
			lacks[w.plan.ID] = waitsForSecrets(missing)
		}
	}
	return lacks, nil
}

func waitsForSecrets(names []string) string {
	if len(names) == 1 {
		return fmt.Sprintf("waits for the secret %s, which the project does not have; set it with: weft secret set %s", names[0], names[0])
	}
	return fmt.Sprintf("waits for the secrets %s, which the project does not have; set them with: weft secret set NAME", strings.Join(names, ", "))
}
