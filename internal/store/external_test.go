package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

func TestGroupsGiveAndTakeRoles(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		for _, name := range []string{"speech", "vision"} {
			if _, err := s.CreateProject(ctx, name, weft.PrincipalID{}); err != nil {
				t.Fatal(err)
			}
		}
		vision, err := s.ProjectNamed(ctx, "vision")
		if err != nil {
			t.Fatal(err)
		}
		u, err := s.CreateUser(ctx, weft.User{Name: "hanako", Kind: weft.Person}, "", weft.NoRole)
		if err != nil {
			t.Fatal(err)
		}
		roles := func() map[string]string {
			t.Helper()
			all, err := s.Members(ctx, weft.ProjectID{}, u.ID)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, m := range all {
				got[m.Project.Name] = m.Role.String()
			}
			return got
		}
		expect := func(what, speech, vision string) {
			t.Helper()
			if got := roles(); got["speech"] != speech || got["vision"] != vision {
				t.Errorf("%s: %v", what, got)
			}
		}
		apply := func(roles map[string]weft.Role) {
			t.Helper()
			unknown, err := s.ApplyGroups(ctx, u.ID, nil, roles)
			if err != nil || !slices.Equal(unknown, []string{"nowhere"}) {
				t.Errorf("%v, %v", unknown, err)
			}
		}
		apply(map[string]weft.Role{"vision": weft.Member, "speech": weft.Viewer, "nowhere": weft.Member})
		expect("given", "viewer", "member")
		home, err := s.User(ctx, "hanako")
		if err != nil || home.Home.Name == weft.DefaultProject {
			t.Errorf("home is %v, %v", home.Home, err)
		}
		apply(map[string]weft.Role{"vision": weft.Manager, "nowhere": weft.NoRole})
		expect("raised, and the other taken back", "", "manager")
		if err := s.SetMember(ctx, vision.ID, "hanako", weft.Viewer); err != nil {
			t.Fatal(err)
		}
		apply(map[string]weft.Role{"vision": weft.Manager, "nowhere": weft.NoRole})
		expect("by hand since", "", "viewer")
		apply(map[string]weft.Role{"nowhere": weft.NoRole})
		expect("what is by hand stays", "", "viewer")
		if err := s.DeleteUser(ctx, "hanako"); err != nil {
			t.Error(err)
		}
	})
}

func TestGroupsMakeAdministratorsButLeaveOne(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		yes, no := true, false
		u, err := s.CreateUser(ctx, weft.User{Name: "hanako", Kind: weft.Person}, "", weft.NoRole)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			say  *bool
			want bool
		}{{&yes, true}, {nil, true}, {&no, true}} { // she is the only one
			if _, err := s.ApplyGroups(ctx, u.ID, step.say, nil); err != nil {
				t.Fatal(err)
			}
			if got, err := s.User(ctx, "hanako"); err != nil || got.Admin != step.want {
				t.Errorf("admin %v, %v", got.Admin, err)
			}
		}
		if _, err := s.CreateUser(ctx, weft.User{Name: "another", Kind: weft.Person, Admin: true}, "", weft.NoRole); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ApplyGroups(ctx, u.ID, &no, nil); err != nil {
			t.Fatal(err)
		}
		if got, err := s.User(ctx, "hanako"); err != nil || got.Admin {
			t.Errorf("admin %v, %v", got.Admin, err)
		}
		if _, err := s.ApplyGroups(ctx, weft.NewID[weft.Principal](), &yes, nil); weft.KindOf(err) != weft.NotFound {
			t.Errorf("nobody: %v", err)
		}
	})
}

func TestSomeThingsAreGoodForOneTime(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		if err := s.Spend(ctx, [32]byte{1}, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := s.Spend(ctx, [32]byte{1}, time.Now().Add(time.Hour)); weft.KindOf(err) != weft.Conflict {
			t.Errorf("again: %v", err)
		}
		if err := s.Spend(ctx, [32]byte{2}, time.Now().Add(-time.Hour)); err != nil {
			t.Errorf("another: %v", err)
		}
	})
}

func TestARenewedHashReplacesOnlyItself(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		u, err := s.CreateUser(ctx, weft.User{Name: "hanako", Kind: weft.Person}, "first", weft.NoRole)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct{ from, to, want string }{{"first", "second", "second"}, {"first", "third", "second"}} {
			if err := s.RenewPasswordHash(ctx, u.ID, step.from, step.to); err != nil {
				t.Fatal(err)
			}
			if c, err := s.Credential(ctx, "hanako"); err != nil || c.PasswordHash != step.want {
				t.Errorf("%q, %v", c.PasswordHash, err)
			}
		}
	})
}
