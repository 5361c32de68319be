package store_test

import (
	"context"
	"crypto/rand"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

// TestRoles opens one database as the role that made it, and as both login roles: all
// work with the same objects.
func TestRoles(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, base string) {
		if !strings.HasPrefix(base, "postgres") {
			return
		}
		w := newWorld(t, storetest.Open(t, base, store.Options{}))
		id := w.push("type:csv")
		for _, user := range []string{"weft_a", "weft_b"} {
			u, err := url.Parse(base)
			if err != nil {
				t.Fatal(err)
			}
			q := u.Query()
			q.Set("user", user)
			u.RawQuery, u.User = q.Encode(), nil
			other := newWorld(t, storetest.Open(t, u.String(), store.Options{}))
			other.tag(id, "by:"+user, "")
		}
		if got := w.data(id).Data.Tags.Strings(); len(got) != 3 {
			t.Errorf("tags are %v", got)
		}
	})
}

// TestNoRoles opens a database as a role that may make no roles: it owns the objects.
func TestNoRoles(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, base string) {
		if !strings.HasPrefix(base, "postgres") {
			return
		}
		name := "plain_" + strings.ToLower(rand.Text())
		do := func(statements ...string) {
			conn, err := pgx.Connect(context.Background(), base)
			if err != nil {
				t.Fatal(err)
			}
			for _, st := range statements {
				if _, err := conn.Exec(context.Background(), st); err != nil {
					t.Error(err)
				}
			}
			if err := conn.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
		do("CREATE ROLE "+name+" LOGIN", "CREATE SCHEMA "+name+" AUTHORIZATION "+name)
		t.Cleanup(func() { do("DROP SCHEMA "+name+" CASCADE", "DROP ROLE "+name) })
		u, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		q.Set("user", name)
		q.Set("search_path", name)
		u.RawQuery, u.User = q.Encode(), nil
		w := newWorld(t, storetest.Open(t, u.String(), store.Options{}))
		w.plan("type:csv -> type:model")
		w.push("type:csv")
		if n := w.projection(); n != 1 {
			t.Errorf("made %d runs", n)
		}
	})
}
