package store_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

// user makes a person with a role in the world's project.
func (w *world) user(name string, role weft.Role) weft.User {
	w.Helper()
	return must(w.s.CreateUser(w.Context(), weft.User{Name: name, Home: weft.Project{ID: w.project}}, "hash of "+name, role))(w)
}

// token makes a token whose SHA-256 begins with a byte, and returns that hash.
func (w *world) token(of weft.User, first byte, k weft.Token) [32]byte {
	w.Helper()
	hash := [32]byte{first, 99}
	k.Owner, k.Name = of.ID, "t"
	if k.Scope == "" {
		k.Scope = weft.ScopeAll
	}
	must(w.s.CreateToken(w.Context(), k, hash))(w)
	return hash
}

// fails holds that an error is of a kind.
func (w *world) fails(kind weft.Kind, err error) {
	w.Helper()
	if weft.KindOf(err) != kind {
		w.Errorf("%v is not %s", err, kind)
	}
}

func (w *world) disable(name string) error {
	yes := true
	_, err := w.s.ChangeUser(w.Context(), name, weft.UserChange{Disabled: &yes})
	return err
}

func TestUsers(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		alice := w.user("alice", weft.Member)
		if alice.Kind != weft.Person || !alice.HasPassword || alice.Home.Name != "default" || alice.CreatedAt.IsZero() || !alice.SignedInAt.IsZero() {
			w.Errorf("%+v", alice)
		}
		c := must(w.s.Credential(ctx, "alice"))(w)
		if c.PasswordHash != "hash of alice" || c.ID != alice.ID {
			w.Errorf("%+v", c)
		}
		_, err := w.s.CreateUser(ctx, weft.User{Name: "alice"}, "", weft.NoRole)
		w.fails(weft.Conflict, err)
		for _, name := range []string{"", "Alice", "a b", "-a", "a\x00", strings.Repeat("a", 65), "ünal"} {
			_, err := w.s.CreateUser(ctx, weft.User{Name: name}, "", weft.NoRole)
			w.fails(weft.Invalid, err)
		}
		_, err = w.s.User(ctx, "bob")
		w.fails(weft.NotFound, err)
		full := "Alice Example"
		if u := must(w.s.ChangeUser(ctx, "alice", weft.UserChange{FullName: &full}))(w); u.FullName != full || u.Admin {
			w.Errorf("%+v", u)
		}
		if users := must(w.s.Users(ctx))(w); len(users) != 2 || users[0].Name != "admin" || users[1].Name != "alice" {
			w.Errorf("%+v", users)
		}
	})
}

func TestIdentitiesFromOutside(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		i := weft.Identity{Issuer: "https://id.example", Subject: "4711"}
		_, err := w.s.CredentialByIdentity(ctx, i)
		w.fails(weft.NotFound, err)
		u := must(w.s.CreateUser(ctx, weft.User{Name: "alice", Identities: []weft.Identity{i}}, "", weft.NoRole))(w)
		if c := must(w.s.CredentialByIdentity(ctx, i))(w); c.ID != u.ID || !slices.Equal(c.Identities, []weft.Identity{i}) {
			w.Errorf("%+v", c)
		}
		_, err = w.s.CreateUser(ctx, weft.User{Name: "mallory", Identities: []weft.Identity{i}}, "", weft.NoRole)
		w.fails(weft.Conflict, err)
		_, err = w.s.User(ctx, "mallory")
		w.fails(weft.NotFound, err) // not half made
		other := weft.Identity{Issuer: i.Issuer, Subject: "4712"}
		if err := w.s.LinkIdentity(ctx, u.ID, other); err != nil {
			w.Fatal(err)
		}
		if c := must(w.s.CredentialByIdentity(ctx, other))(w); c.ID != u.ID {
			w.Errorf("%+v", c)
		}
	})
}

func TestTheLastAdministratorStays(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		yes, no := true, false
		w.fails(weft.Conflict, w.disable("admin"))
		_, err := w.s.ChangeUser(ctx, "admin", weft.UserChange{Admin: &no})
		w.fails(weft.Conflict, err)
		w.fails(weft.Conflict, w.s.DeleteUser(ctx, "admin"))
		for _, name := range []string{"alice", "bob"} {
			w.user(name, weft.NoRole)
			must(w.s.ChangeUser(ctx, name, weft.UserChange{Admin: &yes}))(w)
		}
		if err := w.disable("admin"); err != nil {
			w.Fatal(err)
		}
		if p := must(w.s.PrincipalByToken(ctx, [32]byte{1}, ""))(w); !p.Admin {
			w.Error("the token of the state directory is good for nothing")
		}
		// Two who remove one another at once: one of them stays.
		var wait sync.WaitGroup
		for _, name := range []string{"alice", "bob"} {
			wait.Go(func() {
				if err := w.s.DeleteUser(ctx, name); err != nil && weft.KindOf(err) != weft.Conflict {
					w.Error(err)
				}
			})
		}
		wait.Wait()
		if users := must(w.s.Users(ctx))(w); len(users) != 2 {
			w.Errorf("%d are left", len(users))
		}
	})
}

func TestPasswords(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		if !must(w.s.LacksFirstPassword(ctx))(w) || !must(w.s.SetFirstPassword(ctx, "first"))(w) || must(w.s.SetFirstPassword(ctx, "second"))(w) {
			w.Error("the first password is not set just once")
		}
		if c := must(w.s.Credential(ctx, "admin"))(w); c.PasswordHash != "first" {
			w.Errorf("the password is %q", c.PasswordHash)
		}
		if err := w.s.SetPassword(ctx, w.by, "", weft.SessionID{}); err != nil {
			w.Fatal(err)
		}
		if c := must(w.s.Credential(ctx, "admin"))(w); c.HasPassword || must(w.s.LacksFirstPassword(ctx))(w) {
			w.Error("what was taken away comes back at the next start")
		}
		alice := w.user("alice", weft.Viewer)
		in := [32]byte{5}
		kept := must(w.s.CreateSession(ctx, weft.Session{Owner: alice.ID, ExpiresAt: time.Now().Add(time.Hour)}, in))(w)
		must(w.s.CreateSession(ctx, weft.Session{Owner: alice.ID, ExpiresAt: time.Now().Add(time.Hour)}, [32]byte{6}))(w)
		if err := w.s.SetPassword(ctx, alice.ID, "other", kept.ID); err != nil {
			w.Fatal(err)
		}
		must(w.s.PrincipalBySession(ctx, in, ""))(w)
		_, err := w.s.PrincipalBySession(ctx, [32]byte{6}, "")
		w.fails(weft.Unauthenticated, err)
		robot := must(w.s.CreateUser(ctx, weft.User{Name: "robot", Kind: weft.Service}, "", weft.NoRole))(w)
		w.fails(weft.NotFound, w.s.SetPassword(ctx, robot.ID, "x", weft.SessionID{}))
	})
}

func TestTokens(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		alice := w.user("alice", weft.Member)
		project := weft.Project{ID: w.project, Name: "default"}
		whole, bound := w.token(alice, 1, weft.Token{}), w.token(alice, 2, weft.Token{Project: project, Scope: weft.ScopeRead})
		p := must(w.s.PrincipalByToken(ctx, whole, "10.0.0.7"))(w)
		if p.ID != alice.ID || p.Name != "alice" || p.Kind != weft.Person || p.Admin || p.Scope != weft.ScopeAll || !p.Bound.IsZero() || p.Project != w.project ||
			p.Roles[w.project] != weft.Member || p.TokenID.IsZero() {
			w.Errorf("%+v", p)
		}
		if p := must(w.s.PrincipalByToken(ctx, bound, ""))(w); p.Bound != w.project || p.Scope != weft.ScopeRead {
			w.Errorf("%+v", p)
		}
		over := w.token(alice, 3, weft.Token{ExpiresAt: time.Now().Add(-time.Second)})
		for _, hash := range [][32]byte{over, {42}, {}} {
			_, err := w.s.PrincipalByToken(ctx, hash, "")
			w.fails(weft.Unauthenticated, err)
		}
		ks := must(w.s.Tokens(ctx, alice.ID))(w)
		if len(ks) != 3 || ks[0].OwnerName != "alice" || ks[1].Project != project || ks[1].Scope != weft.ScopeRead || ks[2].ExpiresAt.IsZero() {
			w.Errorf("%+v", ks)
		}
		w.fails(weft.NotFound, w.s.DeleteToken(ctx, ks[0].ID, w.by)) // it is not his
		if err := w.s.DeleteToken(ctx, ks[0].ID, alice.ID); err != nil {
			w.Fatal(err)
		}
		_, err := w.s.PrincipalByToken(ctx, whole, "")
		w.fails(weft.Unauthenticated, err)
		if all := must(w.s.Tokens(ctx, weft.PrincipalID{}))(w); len(all) != 3 || !all[0].System {
			w.Errorf("%+v", all)
		}
	})
}

// TestRightsChangeAtOnce asks who somebody is right after each change: what is remembered
// of a token must not outlast what it says.
func TestRightsChangeAtOnce(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		alice := w.user("alice", weft.Viewer)
		hash := w.token(alice, 1, weft.Token{})
		now := func() weft.Principal { w.Helper(); return must(w.s.PrincipalByToken(ctx, hash, ""))(w) }
		if r := now().Roles[w.project]; r != weft.Viewer {
			w.Errorf("she is %s", r)
		}
		if err := w.s.SetMember(ctx, w.project, "alice", weft.Manager); err != nil {
			w.Fatal(err)
		}
		if r := now().Roles[w.project]; r != weft.Manager {
			w.Errorf("she is %s", r)
		}
		yes := true
		must(w.s.ChangeUser(ctx, "alice", weft.UserChange{Admin: &yes}))(w)
		if !now().Admin {
			w.Error("she is no administrator")
		}
		if err := w.s.SetMember(ctx, w.project, "alice", weft.NoRole); err != nil {
			w.Fatal(err)
		}
		if _, ok := now().Roles[w.project]; ok {
			w.Error("she still has a role")
		}
		if err := w.disable("alice"); err != nil {
			w.Fatal(err)
		}
		_, err := w.s.PrincipalByToken(ctx, hash, "")
		w.fails(weft.Unauthenticated, err)
		no := false
		must(w.s.ChangeUser(ctx, "alice", weft.UserChange{Disabled: &no}))(w)
		_, err = w.s.PrincipalByToken(ctx, hash, "")
		w.fails(weft.Unauthenticated, err) // tokens do not come back
		hash = w.token(alice, 2, weft.Token{})
		now()
		if err := w.s.DeleteUser(ctx, "alice"); err != nil {
			w.Fatal(err)
		}
		_, err = w.s.PrincipalByToken(ctx, hash, "")
		w.fails(weft.Unauthenticated, err)
	})
}

// TestRightsChangeForOtherReplicas has one process change what another remembers.
func TestRightsChangeForOtherReplicas(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		here := newWorld(t, storetest.Open(t, url, store.Options{NoSync: true}))
		there := storetest.Open(t, url, store.Options{NoSync: true})
		hash := here.token(here.user("alice", weft.Viewer), 1, weft.Token{})
		must(there.PrincipalByToken(t.Context(), hash, ""))(here)
		began := time.Now()
		if err := here.disable("alice"); err != nil {
			t.Fatal(err)
		}
		for {
			_, err := there.PrincipalByToken(t.Context(), hash, "")
			if weft.KindOf(err) == weft.Unauthenticated {
				break
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Fatalf("it is still good after %s: %v", took, err)
			}
		}
	})
}

// TestUsesAreStoredOnceAMinute makes many requests with one token.
func TestUsesAreStoredOnceAMinute(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		alice := w.user("alice", weft.Viewer)
		hash := w.token(alice, 1, weft.Token{})
		commits, stop := w.s.Changed()
		defer stop()
		for range 1000 {
			must(w.s.PrincipalByToken(ctx, hash, "10.0.0.7"))(w)
		}
		for {
			k := must(w.s.Tokens(ctx, alice.ID))(w)[0]
			if !k.UsedAt.IsZero() {
				if k.UsedFrom != "10.0.0.7" || time.Since(k.UsedAt) > time.Minute {
					w.Errorf("%+v", k)
				}
				break
			}
			<-commits
		}
		w.s.Touched()
		first := must(w.s.Tokens(ctx, alice.ID))(w)[0].UsedAt
		for range 1000 {
			must(w.s.PrincipalByToken(ctx, hash, "10.0.0.8"))(w)
		}
		w.s.Touched()
		if k := must(w.s.Tokens(ctx, alice.ID))(w)[0]; !k.UsedAt.Equal(first) || k.UsedFrom != "10.0.0.7" {
			w.Errorf("it was stored again: %+v", k)
		}
	})
}

func TestSessions(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		alice := w.user("alice", weft.Member)
		begin := func(first byte, life, idle time.Duration) [32]byte {
			hash := [32]byte{first, 77}
			must(w.s.CreateSession(ctx, weft.Session{Owner: alice.ID, ExpiresAt: time.Now().Add(life), Idle: idle, From: "10.0.0.7", Agent: "a browser", Note: "n"}, hash))(w)
			return hash
		}
		whole := begin(1, time.Hour, time.Hour)
		p := must(w.s.PrincipalBySession(ctx, whole, ""))(w)
		if p.ID != alice.ID || p.Roles[w.project] != weft.Member || !p.TokenID.IsZero() || p.Scope != weft.ScopeAll {
			w.Errorf("%+v", p)
		}
		if n := must(w.s.Session(ctx, whole))(w); n.Agent != "a browser" || n.Note != "n" || n.From != "10.0.0.7" || n.Idle != time.Hour {
			w.Errorf("%+v", n)
		}
		if u := must(w.s.User(ctx, "alice"))(w); u.SignedInAt.IsZero() {
			w.Error("she never signed in")
		}
		for _, hash := range [][32]byte{begin(2, -time.Second, 0), begin(3, time.Hour, time.Microsecond), {9}} {
			_, err := w.s.PrincipalBySession(ctx, hash, "")
			w.fails(weft.Unauthenticated, err)
			_, err = w.s.Session(ctx, hash)
			w.fails(weft.Unauthenticated, err)
		}
		if all := must(w.s.Sessions(ctx, alice.ID))(w); len(all) != 1 {
			w.Errorf("%+v", all)
		}
		other := begin(4, time.Hour, 0)
		must(w.s.PrincipalBySession(ctx, other, ""))(w)
		if err := w.s.DeleteSession(ctx, other); err != nil {
			w.Fatal(err)
		}
		_, err := w.s.PrincipalBySession(ctx, other, "")
		w.fails(weft.Unauthenticated, err)
		if err := w.disable("alice"); err != nil {
			w.Fatal(err)
		}
		_, err = w.s.PrincipalBySession(ctx, whole, "")
		w.fails(weft.Unauthenticated, err)
		_, err = w.s.CreateSession(ctx, weft.Session{Owner: alice.ID, ExpiresAt: time.Now().Add(time.Hour)}, [32]byte{8})
		w.fails(weft.Unauthenticated, err)
	})
}

func TestFailedSignInsAreCounted(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		w := newWorld(t, storetest.Open(t, url, store.Options{NoSync: true}))
		ctx := t.Context()
		lock := func(failures int) time.Duration {
			if failures < 3 {
				return 0
			}
			return time.Minute
		}
		var guesses sync.WaitGroup
		for range 3 {
			guesses.Go(func() {
				if _, err := w.s.SignInFailed(ctx, "alice", lock); err != nil {
					t.Error(err)
				}
			})
		}
		guesses.Wait()
		again := storetest.Open(t, url, store.Options{NoSync: true}) // after a restart, or another replica
		f := must(again.SignInFailures(ctx, "alice"))(w)
		if f.Count != 3 || time.Until(f.LockedUntil) < 50*time.Second {
			t.Errorf("%+v", f)
		}
		if f := must(again.SignInFailures(ctx, "bob"))(w); f != (weft.SignInFailures{}) {
			t.Errorf("%+v", f)
		}
		if err := again.ClearSignInFailures(ctx, "alice"); err != nil {
			t.Fatal(err)
		}
		if f := must(w.s.SignInFailures(ctx, "alice"))(w); f.Count != 0 || !f.LockedUntil.IsZero() {
			t.Errorf("%+v", f)
		}
	})
}

func TestDevices(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		alice := w.user("alice", weft.Member)
		begin := func(first byte, code string, life time.Duration) [32]byte {
			hash := [32]byte{first, 55}
			if err := w.s.CreateDevice(ctx, weft.Device{UserCode: code, Client: "laptop", ExpiresAt: time.Now().Add(life), Interval: 5 * time.Second}, hash); err != nil {
				w.Fatal(err)
			}
			return hash
		}
		hash := begin(1, "AAAA", time.Hour)
		w.fails(weft.Conflict, w.s.CreateDevice(ctx, weft.Device{UserCode: "AAAA", ExpiresAt: time.Now().Add(time.Hour)}, [32]byte{2}))
		if d := must(w.s.PollDevice(ctx, hash))(w); !d.Owner.IsZero() || !d.PolledAt.IsZero() {
			w.Errorf("%+v", d)
		}
		if d := must(w.s.PollDevice(ctx, hash))(w); d.PolledAt.IsZero() {
			w.Errorf("%+v", d)
		}
		if d := must(w.s.DeviceByUserCode(ctx, "AAAA"))(w); d.Client != "laptop" || d.Interval != 10*time.Second {
			w.Errorf("%+v: it polled too fast", d)
		}
		if err := w.s.DecideDevice(ctx, "AAAA", alice.ID, true); err != nil {
			w.Fatal(err)
		}
		w.fails(weft.NotFound, w.s.DecideDevice(ctx, "AAAA", w.by, true)) // nobody else
		if d := must(w.s.PollDevice(ctx, hash))(w); d.Owner != alice.ID {
			w.Errorf("%+v", d)
		}
		_, err := w.s.PollDevice(ctx, hash)
		w.fails(weft.NotFound, err) // once
		hash = begin(3, "BBBB", time.Hour)
		if err := w.s.DecideDevice(ctx, "BBBB", alice.ID, false); err != nil {
			w.Fatal(err)
		}
		if d := must(w.s.PollDevice(ctx, hash))(w); !d.Denied || !d.Owner.IsZero() {
			w.Errorf("%+v", d)
		}
		hash = begin(4, "CCCC", -time.Second)
		_, err = w.s.PollDevice(ctx, hash)
		w.fails(weft.NotFound, err)
		w.fails(weft.NotFound, w.s.DecideDevice(ctx, "CCCC", alice.ID, true))
	})
}

func TestProjects(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		alice := w.user("alice", weft.NoRole)
		vision := must(w.s.CreateProject(ctx, "vision", alice.ID))(w)
		if ms := must(w.s.Members(ctx, vision.ID, weft.PrincipalID{}))(w); len(ms) != 1 || ms[0].Name != "alice" || ms[0].Role != weft.Manager {
			w.Errorf("%+v", ms)
		}
		_, err := w.s.CreateProject(ctx, "vision", w.by)
		w.fails(weft.Conflict, err)
		for _, name := range []string{"", "Vision", "a_b", "-a", strings.Repeat("a", 64), "a/b"} {
			_, err := w.s.CreateProject(ctx, name, w.by)
			w.fails(weft.Invalid, err)
		}
		if p := must(w.s.ProjectNamed(ctx, "vision"))(w); p != vision {
			w.Errorf("%+v", p)
		}
		if err := w.s.RenameProject(ctx, vision.ID, "sight"); err != nil {
			w.Fatal(err)
		}
		_, err = w.s.ProjectNamed(ctx, "vision")
		w.fails(weft.NotFound, err)
		w.fails(weft.Conflict, w.s.RenameProject(ctx, vision.ID, "default"))
		w.fails(weft.Conflict, w.s.RenameProject(ctx, w.project, "other"))
		w.fails(weft.Conflict, w.s.DeleteProject(ctx, w.project))

		// The first project of a user becomes the home, and what is bound to it goes with it.
		if err := w.s.SetMember(ctx, vision.ID, "alice", weft.Viewer); err != nil {
			w.Fatal(err)
		}
		if u := must(w.s.User(ctx, "alice"))(w); u.Home.ID != vision.ID {
			w.Errorf("%+v", u.Home)
		}
		hash := w.token(alice, 1, weft.Token{Project: vision})
		must(w.s.PrincipalByToken(ctx, hash, ""))(w)
		w.in(vision.ID).push("type:csv")
		w.fails(weft.Conflict, w.s.DeleteProject(ctx, vision.ID))
		w.project = vision.ID
		empty := must(w.s.CreateProject(ctx, "empty", alice.ID))(w)
		bound := w.token(alice, 2, weft.Token{Project: empty})
		if err := w.s.DeleteProject(ctx, empty.ID); err != nil {
			w.Fatal(err)
		}
		_, err = w.s.PrincipalByToken(ctx, bound, "")
		w.fails(weft.Unauthenticated, err)
		_, err = w.s.ProjectByID(ctx, empty.ID)
		w.fails(weft.NotFound, err)
		w.fails(weft.NotFound, w.s.SetMember(ctx, vision.ID, "nobody", weft.Viewer))
		w.fails(weft.NotFound, w.s.SetMember(ctx, vision.ID, "admin", weft.NoRole))
	})
}

// in is the same world in another project.
func (w *world) in(project weft.ProjectID) *world {
	other := *w
	other.project = project
	return &other
}

// asked is a context as a request has it.
func asked(ctx context.Context, who weft.PrincipalID, action string) (context.Context, *weft.AuditNote) {
	n := &weft.AuditNote{Audit: weft.Audit{Who: who, Name: "admin", Action: action, Kind: "data", From: "10.0.0.7", Request: "r"}}
	return weft.WithAudit(ctx, n), n
}

// TestAuditIsOfTheChange holds that there is an entry exactly where there is a change.
func TestAuditIsOfTheChange(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx, note := asked(w.Context(), w.by, "create-project")
		p := must(w.s.CreateProject(ctx, "vision", w.by))(w)
		if !note.Written {
			w.Error("it is said not to be written")
		}
		all := must(w.s.Audit(w.Context(), weft.AuditQuery{}))(w)
		if len(all) != 1 || all[0].Action != "create-project" || all[0].Object != "vision" || all[0].Project != p.ID || all[0].Who != w.by ||
			all[0].From != "10.0.0.7" || all[0].Result != weft.AuditDone || all[0].Request != "r" || time.Since(all[0].At) > time.Minute {
			w.Errorf("%+v", all)
		}
		ctx, note = asked(w.Context(), w.by, "create-project")
		if _, err := w.s.CreateProject(ctx, "vision", w.by); err == nil || note.Written {
			w.Errorf("what changed nothing is said to be written: %v", err)
		}
		ctx, note = asked(w.Context(), w.by, "push-archive")
		by := *w
		by.T = w.T
		id := by.pushUnder(ctx, "type:csv")
		if !note.Written {
			w.Error("a push is not written")
		}
		if all = must(w.s.Audit(w.Context(), weft.AuditQuery{After: all[0].Seq}))(w); len(all) != 1 || all[0].Object != id.String() {
			w.Errorf("%+v", all)
		}
		if err := w.s.AddAudit(w.Context(), weft.Audit{Name: "mallory\x00\xff", Action: "sign-in", Result: weft.AuditDenied, Detail: strings.Repeat("x", 9999)}); err != nil {
			w.Fatal(err)
		}
		last := must(w.s.Audit(w.Context(), weft.AuditQuery{Last: true, Limit: 1}))(w)
		if len(last) != 1 || last[0].Result != weft.AuditDenied || len(last[0].Detail) > 600 || !last[0].Who.IsZero() {
			w.Errorf("%+v", last)
		}
	})
}

func (w *world) pushUnder(ctx context.Context, tags string) weft.DataID {
	w.Helper()
	return must(w.s.PushData(ctx, weft.Push{
		Project: w.project, By: w.by, Plan: weft.PlanUploaded, Run: weft.NewID[weft.Run](), Data: weft.NewID[weft.Data](),
		Tags: w.tags(tags), Tree: weft.Tree{Digest: weft.Digest{7}, Files: 1, Bytes: 10}, At: time.Now(),
	}))(w).Data.ID
}

func TestAuditQueries(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		alice := w.user("alice", weft.Viewer)
		for _, e := range []weft.Audit{
			{Who: w.by, Name: "admin", Action: "a"}, {Who: alice.ID, Name: "alice", Action: "b", Project: w.project}, {Who: alice.ID, Name: "alice", Action: "c"},
		} {
			if err := w.s.AddAudit(ctx, e); err != nil {
				w.Fatal(err)
			}
		}
		find := func(q weft.AuditQuery) string {
			w.Helper()
			var actions []string
			for _, e := range must(w.s.Audit(ctx, q))(w) {
				actions = append(actions, e.Action)
			}
			return strings.Join(actions, "")
		}
		second := must(w.s.Audit(ctx, weft.AuditQuery{Action: "b"}))(w)[0]
		for want, q := range map[string]weft.AuditQuery{
			"abc": {}, "cba": {Last: true}, "bc": {Who: alice.ID}, "b": {Project: w.project}, "ab": {Limit: 2}, "c": {After: second.Seq},
			"a": {Until: second.At}, "cb": {Since: second.At, Last: true}, "": {Project: weft.NewID[weft.Project]()},
		} {
			if got := find(q); got != want {
				w.Errorf("%+v finds %q, not %q", q, got, want)
			}
		}
		if err := w.s.DeleteUser(ctx, "alice"); err != nil {
			w.Fatal(err)
		}
		if got := find(weft.AuditQuery{Who: alice.ID}); got != "bc" {
			w.Errorf("after the account is gone there are %q", got)
		}
	})
}

// TestTheAuditLogIsOnlyAddedTo tries to change it by SQL.
func TestTheAuditLogIsOnlyAddedTo(t *testing.T) {
	eachWorld(t, func(w *world) {
		if err := w.s.AddAudit(w.Context(), weft.Audit{Name: "admin", Action: "a"}); err != nil {
			w.Fatal(err)
		}
		for _, statement := range []string{"DELETE FROM audit", "UPDATE audit SET name = 'somebody else'"} {
			if err := w.s.Exec(w.Context(), statement); err == nil || !strings.Contains(errors.Join(err).Error(), "only added to") {
				w.Errorf("%s: %v", statement, err)
			}
		}
		if all := must(w.s.Audit(w.Context(), weft.AuditQuery{}))(w); len(all) != 1 || all[0].Name != "admin" {
			w.Errorf("%+v", all)
		}
	})
}

// TestAnotherTokenOfTheStateDirectory begins again after the file was removed.
func TestAnotherTokenOfTheStateDirectory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	if p := must(w.s.EnsureAdmin(t.Context(), [32]byte{2}))(w); p.ID != w.by || !p.Admin {
		t.Errorf("%+v", p)
	}
	_, err := w.s.PrincipalByToken(t.Context(), [32]byte{1}, "")
	w.fails(weft.Unauthenticated, err)
}

// TestOldTokensAreForgotten makes a token after others have expired.
func TestOldTokensAreForgotten(t *testing.T) {
	eachWorld(t, func(w *world) {
		alice := w.user("alice", weft.Viewer)
		w.token(alice, 1, weft.Token{ExpiresAt: time.Now().AddDate(0, 0, -31)})
		w.token(alice, 2, weft.Token{ExpiresAt: time.Now().AddDate(0, 0, -29)})
		w.token(alice, 3, weft.Token{})
		if ks := must(w.s.Tokens(w.Context(), alice.ID))(w); len(ks) != 2 {
			w.Errorf("%+v", ks)
		}
	})
}
