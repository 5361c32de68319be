package server

import (
	"context"
	"net/http"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// Secrets keeps the secrets of projects. It never tells a value.
type Secrets interface {
	// Set keeps a value under the name, in the place of an earlier one.
	Set(ctx context.Context, v weft.Secret, value string) error
	// List lists the secrets of a project by name.
	List(ctx context.Context, project weft.ProjectID) ([]weft.Secret, error)
	// Remove is NotFound when there is none of that name.
	Remove(ctx context.Context, project weft.ProjectID, name string) error
}

// secretRoutes declares what is done with secrets. Whoever may register plans may use
// them; to set one takes a manager.
func (s *Server) secretRoutes() {
	if s.Secrets == nil {
		s.Secrets = noSecrets{}
	}
	handle(s, route{method: http.MethodGet, path: "/api/secrets", id: "list-secrets", summary: "List the secrets of the project, without their values", verb: weft.Read, kind: "secret"}, s.listSecrets)
	handle(s, route{method: http.MethodPut, path: "/api/secrets/{name}", id: "set-secret", summary: "Set a secret of the project", verb: weft.Change, kind: "secret",
		more: "Runs that start from then on are given the new value. No answer ever tells it."}, s.setSecret)
	handle(s, route{method: http.MethodDelete, path: "/api/secrets/{name}", id: "remove-secret", summary: "Remove a secret of the project", verb: weft.Delete, kind: "secret",
		status: http.StatusNoContent, more: "Runs of plans that name it wait."}, s.removeSecret)
}

type SecretPath struct {
	Name string `path:"name"`
}

type setSecretInput struct {
	SecretPath
	Body api.SecretValue
}

func (s *Server) setSecret(ctx context.Context, in *setSecretInput) (*body[api.Secret], error) {
	if err := weft.ValidateSecretName(in.Name); err != nil {
		return nil, err
	}
	if err := weft.ValidateSecret(in.Body.Value); err != nil {
		return nil, err
	}
	who := principal(ctx)
	v := weft.Secret{Project: who.Project, Name: in.Name, By: who.ID}
	if err := s.Secrets.Set(ctx, v, in.Body.Value); err != nil {
		return nil, err
	}
	all, err := s.wireSecrets(ctx, who.Project)
	if err != nil {
		return nil, err
	}
	for _, w := range all {
		if w.Name == in.Name {
			return answer(w, nil)
		}
	}
	return answer(api.Secret{Name: in.Name}, nil) // somebody has removed it meanwhile
}

func (s *Server) listSecrets(ctx context.Context, _ *struct{}) (*body[[]api.Secret], error) {
	return answer(s.wireSecrets(ctx, principal(ctx).Project))
}

// wireSecrets lists secrets with the plans that name them, those included that are named
// but not there.
func (s *Server) wireSecrets(ctx context.Context, project weft.ProjectID) ([]api.Secret, error) {
	all, err := s.Secrets.List(ctx, project)
	if err != nil {
		return nil, err
	}
	out := []api.Secret{}
	at := map[string]int{}
	add := func(w api.Secret) {
		at[w.Name] = len(out)
		out = append(out, w)
	}
	for _, v := range all {
		w := api.Secret{Name: v.Name, ChangedAt: wireMoment(v.ChangedAt), Plans: []string{}}
		if !v.By.IsZero() {
			w.UserID = v.By.String()
		}
		add(w)
	}
	for v, err := range s.Store.FindPlans(ctx, weft.PlanQuery{Project: project}) {
		if err != nil {
			return nil, err
		}
		for _, name := range v.Plan.SecretNames() {
			if _, ok := at[name]; !ok {
				add(api.Secret{Name: name, Missing: true, Plans: []string{}})
			}
			w := &out[at[name]]
			w.Plans = append(w.Plans, v.Plan.ID.String())
		}
	}
	return out, nil
}

func (s *Server) removeSecret(ctx context.Context, in *SecretPath) (*struct{}, error) {
	return nil, s.Secrets.Remove(ctx, principal(ctx).Project, in.Name)
}

// noSecrets is for servers that cannot seal any.
type noSecrets struct{}

func (noSecrets) Set(context.Context, weft.Secret, string) error {
	return weft.Errorf(weft.Unavailable, "this server keeps no secrets")
}

func (noSecrets) List(context.Context, weft.ProjectID) ([]weft.Secret, error) { return nil, nil }

func (noSecrets) Remove(_ context.Context, _ weft.ProjectID, name string) error {
	return weft.Errorf(weft.NotFound, "the project has no secret %q", name)
}
