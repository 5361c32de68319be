//go:build e2e

package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weft-dev/weft/api"
)

// TestBadRequests sends to the API what must be refused, past the checks of our own
// client. Each answer says by its status and kind what sort of fault it is, and by its
// message what to do; and nothing changes.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	ctx, m := patiently(t), newMachine(t)
	data := m.pushTagged("kind:a")
	plan := `{"image":"test/job:v1","inputs":[{"path":"/in","tags":["kind:y"]}],"outputs":[{"path":"/out","tags":["kind:z"]}],"active":false}`
	status, text := m.raw(ctx, "POST", "/api/plans", "application/json", []byte(plan))
	if status != http.StatusOK {
		t.Fatalf("a good plan: %d %s", status, text)
	}
	there := decodeAs[api.PlanDetail](t, []byte(text)).PlanID
	before := m.inventory(ctx)
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		kind                     api.ErrorKind
		says                     string
	}{
		{"unknown field", "POST", "/api/plans", `{"image":"a:b","input":[]}`, 400, api.KindInvalid, "input"},
		{"no image", "POST", "/api/plans", `{"inputs":[{"path":"/in","tags":["a:b"]}]}`, 400, api.KindInvalid, "the plan has no image\nset image: repository:tag"},
		{"no inputs", "POST", "/api/plans", `{"image":"test/job:v1","inputs":null}`, 400, api.KindInvalid, "the plan has no inputs"},
		{"not JSON", "POST", "/api/plans", `{"image":`, 400, api.KindInvalid, "JSON"},
		{"wrong type", "POST", "/api/plans", `{"image":7}`, 400, api.KindInvalid, "image"},
		{"system tag", "POST", "/api/plans", `{"image":"test/job:v1","inputs":[{"path":"/in","tags":["a:b"]}],"outputs":[{"path":"/out","tags":["knit#id:x"]}]}`, 400, api.KindInvalid, "system tag"},
		{"feeds itself", "POST", "/api/plans", `{"image":"test/job:v1","inputs":[{"path":"/in","tags":["a:b"]}],"outputs":[{"path":"/out","tags":["a:b"]}]}`, 409, api.KindConflict, "loop"},
		{"feeds itself through another", "POST", "/api/plans", `{"image":"test/job:v1","inputs":[{"path":"/in","tags":["kind:z"]}],"outputs":[{"path":"/out","tags":["kind:y"]}]}`, 409, api.KindConflict, "loop"},
		{"equal plan", "POST", "/api/plans", plan, 409, api.KindConflict, there},
		{"tag without colon", "PUT", "/api/data/" + data, `{"add":["lonely"]}`, 400, api.KindInvalid, `"lonely" has no colon`},
		{"system tag on data", "PUT", "/api/data/" + data, `{"add":["knit#transient:failed"]}`, 400, api.KindInvalid, "knit#transient"},
		{"system key", "PUT", "/api/data/" + data, `{"remove_key":["knit#id"]}`, 400, api.KindInvalid, "knit#id"},
		{"unknown field of a change", "PUT", "/api/data/" + data, `{"ad":["a:b"]}`, 400, api.KindInvalid, "ad"},
		{"unknown data", "PUT", "/api/data/nothing", `{"add":["a:b"]}`, 404, api.KindNotFound, "nothing"},
		{"unknown path", "GET", "/api/nothing", ``, 404, api.KindNotFound, "Not Found"},
		{"another method", "DELETE", "/api/plans", ``, 405, "", "Method Not Allowed"},
	} {
		status, text := m.raw(ctx, c.method, c.path, "application/json", []byte(c.body))
		answer := decodeAs[api.Error](t, []byte(text))
		if status != c.status || c.kind != "" && answer.Kind != c.kind || !strings.Contains(answer.Message, c.says) {
			t.Errorf("%s: %d %s %q; want %d %s %q", c.name, status, answer.Kind, answer.Message, c.status, c.kind, c.says)
		}
		if c.name == "equal plan" && answer.See != there {
			t.Errorf("of the equal plan, see is %q", answer.See)
		}
	}
	if diff := cmp.Diff(before, m.inventory(ctx)); diff != "" {
		t.Errorf("something has changed (-before +after):\n%s", diff)
	}
}

// TestStrangers asks without the right token. They learn nothing and change nothing.
func TestStrangers(t *testing.T) {
	t.Parallel()
	ctx, m := patiently(t), newMachine(t)
	m.pushTagged("kind:a")
	before, token := m.inventory(ctx), m.token
	for _, wrong := range []string{"", "wrong", token[:len(token)-1], token + "x", "Bearer " + token} {
		m.token = wrong
		for _, c := range []struct{ method, path string }{
			{"GET", "/api/data"}, {"POST", "/api/data"}, {"POST", "/api/plans"}, {"POST", "/api/uploads"}, {"GET", "/api/events"},
			{"GET", "/api/cluster"}, {"GET", "/metrics"}, {"GET", "/v2/"}, {"POST", "/v2/test/job/blobs/uploads/"},
		} {
			if status, text := m.raw(ctx, c.method, c.path, "application/json", []byte("{}")); status != http.StatusUnauthorized || strings.Contains(text, "kind:a") {
				t.Errorf("%s %s with %q: %d %s", c.method, c.path, wrong, status, text)
			}
		}
		if status, text := m.raw(ctx, "GET", "/healthz", "", nil); status != http.StatusOK {
			t.Errorf("/healthz: %d %s", status, text)
		}
	}
	m.token = token
	if diff := cmp.Diff(before, m.inventory(ctx)); diff != "" {
		t.Errorf("something has changed (-before +after):\n%s", diff)
	}
}
