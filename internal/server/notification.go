package server

import (
	"context"
	"net/http"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// Notifications keeps the rules by which people are told of Runs.
type Notifications interface {
	// Create makes a rule to addresses or to a URL, and returns it as it is kept.
	Create(ctx context.Context, n weft.Notification, url string, secret []byte) (weft.Notification, error)
	List(ctx context.Context, project weft.ProjectID) ([]weft.Notification, error)
	// Delete and Test are NotFound when the project has no such rule.
	Delete(ctx context.Context, project weft.ProjectID, id weft.NotificationID) error
	Test(ctx context.Context, project weft.ProjectID, id weft.NotificationID) error
}

// Hooks tells how the server's hooks are doing.
type Hooks interface {
	States(ctx context.Context) ([]weft.HookState, error)
	// Revive has what a hook was not told in the end tried again.
	Revive(ctx context.Context, name string) (int64, error)
}

func (s *Server) notificationRoutes() {
	if s.Notifications == nil {
		s.Notifications = noNotifications{}
	}
	if s.Hooks == nil {
		s.Hooks = noHooks{}
	}
	rt := func(method, path, id, summary string, verb weft.Verb) route {
		return route{method: method, path: path, id: id, summary: summary, verb: verb, kind: "notification"}
	}
	handle(s, rt(http.MethodGet, "/api/notifications", "list-notifications", "List the notifications of the project", weft.Read), s.listNotifications)
	create := rt(http.MethodPost, "/api/notifications", "create-notification", "Have somebody told of runs", weft.Create)
	create.more = "The URL and the secret are kept encrypted, and not told again."
	handle(s, create, s.createNotification)
	remove := rt(http.MethodDelete, "/api/notifications/{id}", "delete-notification", "Remove a notification", weft.Delete)
	remove.status = http.StatusNoContent
	handle(s, remove, s.deleteNotification)
	test := rt(http.MethodPost, "/api/notifications/{id}/test", "test-notification", "Send a test by a notification", weft.Change)
	test.status, test.more = http.StatusNoContent, "An error says why it could not be sent."
	handle(s, test, s.testNotification)

	handle(s, route{method: http.MethodGet, path: "/api/hooks", id: "list-hooks", summary: "List the server's hooks, and how they are doing",
		verb: weft.Read, kind: "hook", of: everywhere("hook")}, s.listHooks)
	handle(s, route{method: http.MethodPost, path: "/api/hooks/revive", id: "revive-hook", summary: "Have what a hook was not told in the end tried again",
		verb: weft.Change, kind: "hook", of: everywhere("hook")}, s.reviveHook)
}

// everywhere is an object of the system, whatever project a request names.
func everywhere(kind string) func(*http.Request, weft.Principal) (weft.Object, error) {
	return func(*http.Request, weft.Principal) (weft.Object, error) { return weft.Object{Kind: kind}, nil }
}

func wireNotification(n weft.Notification) api.Notification {
	w := api.Notification{ID: n.ID.String(), Plans: n.Plans, Mail: n.Mail, Host: n.Host, Signed: n.Signed, CreatedAt: wireMoment(n.CreatedAt), Error: n.Error}
	for _, on := range n.On {
		w.On = append(w.On, string(on))
	}
	if len(n.Tags) > 0 {
		w.Tags = wireTags(n.Tags)
	}
	if n.After > 0 {
		w.After = n.After.String()
	}
	if !n.By.IsZero() {
		w.UserID = n.By.String()
	}
	return w
}

func (s *Server) listNotifications(ctx context.Context, _ *struct{}) (*body[[]api.Notification], error) {
	all, err := s.Notifications.List(ctx, principal(ctx).Project)
	out := make([]api.Notification, len(all))
	for i, n := range all {
		out[i] = wireNotification(n)
	}
	return answer(out, err)
}

type newNotificationInput struct{ Body api.NewNotification }

func (s *Server) createNotification(ctx context.Context, in *newNotificationInput) (*body[api.Notification], error) {
	who := principal(ctx)
	n := weft.Notification{ID: weft.NewID[weft.Notification](), Project: who.Project, By: who.ID, Plans: in.Body.Plans, Mail: in.Body.Mail}
	for _, on := range in.Body.On {
		n.On = append(n.On, weft.Occasion(on))
	}
	var err error
	if n.Tags, err = domainTags(in.Body.Tags); err != nil {
		return nil, err
	}
	if in.Body.After != "" {
		if n.After, err = time.ParseDuration(in.Body.After); err != nil {
			return nil, weft.Errorf(weft.Invalid, "after is %q", in.Body.After).WithAdvice("write it like 30m or 12h")
		}
	}
	n, err = s.Notifications.Create(ctx, n, in.Body.URL, []byte(in.Body.Secret))
	return answer(wireNotification(n), err)
}

type NotificationPath struct {
	ID string `path:"id"`
}

func (s *Server) deleteNotification(ctx context.Context, in *NotificationPath) (*struct{}, error) {
	id, err := weft.ParseID[weft.Notification](in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.Notifications.Delete(ctx, principal(ctx).Project, id)
}

func (s *Server) testNotification(ctx context.Context, in *NotificationPath) (*struct{}, error) {
	id, err := weft.ParseID[weft.Notification](in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.Notifications.Test(ctx, principal(ctx).Project, id)
}

func (s *Server) listHooks(ctx context.Context, _ *struct{}) (*body[[]api.Hook], error) {
	all, err := s.Hooks.States(ctx)
	out := make([]api.Hook, len(all))
	for i, h := range all {
		out[i] = api.Hook{Name: h.Name, When: h.When, Host: h.Host, At: wireMoment(h.At), Error: h.Error, Waiting: h.Waiting, Dead: h.Dead, Behind: wireMoment(h.Behind)}
	}
	return answer(out, err)
}

type hookNameInput struct{ Body api.HookName }

func (s *Server) reviveHook(ctx context.Context, in *hookNameInput) (*body[api.Revived], error) {
	n, err := s.Hooks.Revive(ctx, in.Body.Name)
	return answer(api.Revived{Count: n}, err)
}

// noNotifications is for servers that tell nobody.
type noNotifications struct{}

func (noNotifications) Create(_ context.Context, n weft.Notification, _ string, _ []byte) (weft.Notification, error) {
	return n, weft.Errorf(weft.Conflict, "this server sends no notifications")
}

func (noNotifications) List(context.Context, weft.ProjectID) ([]weft.Notification, error) {
	return nil, nil
}

func (noNotifications) Delete(_ context.Context, _ weft.ProjectID, id weft.NotificationID) error {
	return weft.Errorf(weft.NotFound, "notification %s is not found", id)
}

func (n noNotifications) Test(ctx context.Context, project weft.ProjectID, id weft.NotificationID) error {
	return n.Delete(ctx, project, id)
}

// noHooks is for servers that have none.
type noHooks struct{}

func (noHooks) States(context.Context) ([]weft.HookState, error) { return nil, nil }

func (noHooks) Revive(_ context.Context, name string) (int64, error) {
	return 0, weft.Errorf(weft.NotFound, "there is no after hook %q", name)
}
