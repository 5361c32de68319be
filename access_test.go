package weft

import (
	"strings"
	"testing"
	"time"
)

func TestMay(t *testing.T) {
	t.Parallel()
	ours, theirs := id[Project](1), id[Project](2)
	who := func(r Role) Principal {
		return Principal{ID: id[Principal](1), Name: r.String(), Roles: map[ProjectID]Role{ours: r}}
	}
	verbs := []Verb{Read, Create, Change, Delete, Manage, "fly"}
	for _, row := range []struct {
		who    Principal
		in     ProjectID
		kind   string
		yes    string // the verbs that are allowed
		denied Kind
	}{
		{Principal{}, ours, "data", "", Unauthenticated},
		{Principal{}, ProjectID{}, "system", "", Unauthenticated},
		{who(NoRole), ours, "data", "", Forbidden},
		{who(Viewer), ours, "data", "read", Forbidden},
		{who(Member), ours, "data", "read create change", Forbidden},
		{who(Manager), ours, "data", "read create change delete manage", Forbidden},
		{who(Manager), theirs, "data", "", Forbidden},
		{who(Manager), ProjectID{}, "system", "read", Forbidden},
		{who(NoRole), ProjectID{}, "system", "read", Forbidden},
		{who(Manager), ProjectID{}, "event", "", Forbidden}, // all projects' events
		{Principal{ID: id[Principal](2), Admin: true}, theirs, "data", "read create change delete manage fly", ""},
		{Principal{ID: id[Principal](2), Admin: true}, ProjectID{}, "system", "read create change delete manage fly", ""},
	} {
		for _, v := range verbs {
			err := May(row.who, v, Object{Kind: row.kind, Project: row.in})
			want := row.denied
			if strings.Contains(row.yes, string(v)) {
				want = ""
			}
			if KindOf(err) != want {
				t.Errorf("%s may %s %s of %s: %v; want %q", row.who.Name, v, row.kind, row.in, err, want)
			}
		}
	}
}

// TestMayByToken asks with tokens that are worth less than their owner.
func TestMayByToken(t *testing.T) {
	t.Parallel()
	ours, theirs := id[Project](1), id[Project](2)
	me, other := id[Principal](1), id[Principal](2)
	manager := Principal{ID: me, Name: "m", Token: "t", Roles: map[ProjectID]Role{ours: Manager, theirs: Manager}}
	admin := Principal{ID: me, Name: "a", Token: "t", Admin: true}
	with := func(p Principal, s Scope, bound ProjectID) Principal {
		p.Scope, p.Bound = s, bound
		return p
	}
	none := ProjectID{}
	verbs := []Verb{Read, Create, Change, Delete, Manage}
	const all = "read create change delete manage"
	for _, row := range []struct {
		who Principal
		o   Object
		yes string
	}{
		{with(manager, ScopeAll, none), Object{Kind: "data", Project: ours}, all},
		{with(manager, ScopeWrite, none), Object{Kind: "data", Project: ours}, "read create change"},
		{with(manager, ScopeRead, none), Object{Kind: "data", Project: ours}, "read"},
		{with(manager, ScopeImport, none), Object{Kind: "data", Project: ours}, ""},
		{with(manager, ScopeImport, none), Object{Kind: "import", Project: ours}, all},
		{with(manager, ScopeImport, none), Object{Kind: "system"}, ""},
		{with(manager, "everything", none), Object{Kind: "data", Project: ours}, ""},
		{with(manager, ScopeAll, ours), Object{Kind: "data", Project: ours}, all},
		{with(manager, ScopeAll, ours), Object{Kind: "data", Project: theirs}, ""},
		{with(manager, ScopeWrite, none), Object{Kind: "member", Project: ours}, "read"},
		{with(manager, ScopeWrite, none), Object{Kind: "token", Owner: me}, "read"},
		{with(manager, ScopeRead, none), Object{Kind: "token", Owner: me}, "read"},
		{with(manager, ScopeAll, none), Object{Kind: "token", Owner: me}, all},
		{with(manager, ScopeAll, none), Object{Kind: "token", Owner: other}, ""},
		{with(manager, ScopeAll, none), Object{Kind: "token", Owner: other, Project: ours}, all},
		{with(manager, ScopeAll, ours), Object{Kind: "token", Owner: me}, "read create"},
		{with(admin, ScopeAll, none), Object{Kind: "user"}, all},
		{with(admin, ScopeWrite, none), Object{Kind: "user"}, ""},
		{with(admin, ScopeRead, none), Object{Kind: "audit"}, ""},
		{with(admin, ScopeAll, ours), Object{Kind: "user"}, ""},
		{with(admin, ScopeAll, ours), Object{Kind: "data", Project: ours}, all},
		{with(admin, ScopeAll, ours), Object{Kind: "data", Project: theirs}, ""},
		{with(admin, ScopeRead, none), Object{Kind: "data", Project: theirs}, "read"},
	} {
		for _, v := range verbs {
			err := May(row.who, v, row.o)
			if want := strings.Contains(row.yes, string(v)); (err == nil) != want || err != nil && KindOf(err) != Forbidden {
				t.Errorf("%s with %s bound to %s: %s %+v: %v", row.who.Name, row.who.Scope, row.who.Bound, v, row.o, err)
			}
		}
	}
}

// TestDenialsSayWhatMisses reads them as a user does.
func TestDenialsSayWhatMisses(t *testing.T) {
	t.Parallel()
	ours := id[Project](1)
	p := Principal{ID: id[Principal](1), Name: "alice", Token: "ci", Roles: map[ProjectID]Role{ours: Viewer}}
	read := p
	read.Scope = ScopeRead
	for want, err := range map[string]error{
		"alice may not create data in this project: that takes the role member; alice is viewer there": May(p, Create, Object{Kind: "data", Project: ours}),
		"alice may not change the users: that takes a system administrator":                            May(p, Change, Object{Kind: "user"}),
		`the token "ci" is of scope read: to create runs takes one of scope write`:                     May(read, Create, Object{Kind: "run", Project: ours}),
		`the token "ci" is of scope read: to delete runs takes one of scope all`:                       May(read, Delete, Object{Kind: "run", Project: ours}),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("%v\nis not\n%s", err, want)
		}
	}
}

// TestTokensMakeNoLargerOnes holds that a token cannot be stretched by making another.
func TestTokensMakeNoLargerOnes(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ours := Project{ID: id[Project](1)}
	day := now.Add(24 * time.Hour)
	session := Principal{ID: id[Principal](1), Expires: day}
	ending := Principal{ID: id[Principal](1), TokenID: id[Token](1), Expires: day}
	bound := Principal{ID: id[Principal](1), TokenID: id[Token](1), Bound: ours.ID}
	for _, row := range []struct {
		by   Principal
		k    Token
		want Kind
	}{
		{session, Token{Name: "n"}, ""},
		{session, Token{}, Invalid},
		{session, Token{Name: "a\nb"}, Invalid},
		{session, Token{Name: strings.Repeat("n", 999)}, Invalid},
		{session, Token{Name: "n", ExpiresAt: now}, Invalid},
		{session, Token{Name: "n", ExpiresAt: now.AddDate(20, 0, 0)}, Invalid},
		{ending, Token{Name: "n"}, Forbidden},
		{ending, Token{Name: "n", ExpiresAt: day.Add(time.Second)}, Forbidden},
		{ending, Token{Name: "n", ExpiresAt: day}, ""},
		{bound, Token{Name: "n"}, Forbidden},
		{bound, Token{Name: "n", Project: Project{ID: id[Project](2)}}, Forbidden},
		{bound, Token{Name: "n", Project: ours}, ""},
	} {
		if err := CheckToken(row.by, row.k, now); KindOf(err) != row.want {
			t.Errorf("%+v by %+v: %v", row.k, row.by, err)
		}
	}
}
