package identity

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

// settings of a directory that is searched.
func (d *dirServer) settings(t *testing.T) LDAP {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(readerKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return LDAP{
		URLs: []string{"ldap://127.0.0.1:1", "ldap://" + d.address}, StartTLS: true, CAFile: d.caFile,
		BindDN: readerDN, BindPasswordFile: file, BaseDN: peopleDN, Filter: "(&(objectClass=person)(uid={user}))", IDAttribute: "entryUUID",
		Groups: Groups{SignIn: []string{"cn=staff," + groupsDN}, Admin: []string{"admins"}, Roles: []GroupRole{{"staff", "default", "member"}}},
	}
}

func openDirectory(t *testing.T, l LDAP) *directory {
	t.Helper()
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	d, err := newDirectory(l, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestADirectoryKnowsItsPeople(t *testing.T) {
	t.Parallel()
	plain, secure := newDirServer(t, false), newDirServer(t, true)
	searched := plain.settings(t)
	ldaps := secure.settings(t)
	ldaps.URLs, ldaps.StartTLS = []string{"ldaps://" + secure.address}, false
	grouped := searched
	grouped.GroupBaseDN = groupsDN
	direct := searched
	direct.BindDN, direct.BindPasswordFile, direct.BindTemplate, direct.BaseDN = "", "", "uid={user},"+peopleDN, ""
	active := searched
	active.BindDN, active.BindPasswordFile, active.BindTemplate = "", "", "{user}@example.org"
	anonymous := searched
	anonymous.BindDN, anonymous.BindPasswordFile = "", ""
	for what, l := range map[string]LDAP{"searched": searched, "by TLS": ldaps, "groups searched": grouped, "bound at once": direct, "as in Active Directory": active, "anonymously": anonymous} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			d := openDirectory(t, l)
			p, err := d.signIn(t.Context(), "yoko", "password of yoko")
			if err != nil || p.Name != "yoko" || p.FullName != "Yoko Example" || p.Email != "yoko@example.org" || p.Identity.Subject != "5f2c" || !strings.HasPrefix(p.Identity.Issuer, "ldap:") {
				t.Fatalf("%+v, %v", p, err)
			}
			if !slices.Contains(p.Groups, "staff") || !slices.Contains(p.Groups, "cn=staff,"+groupsDN) || slices.Contains(p.Groups, "ml") != (l.GroupBaseDN != "") {
				t.Errorf("groups %q", p.Groups)
			}
			for wrong, c := range map[string]struct{ name, password string }{
				"password":       {"yoko", "guess"},
				"empty":          {"yoko", ""},
				"nobody":         {"hanako", "guess"},
				"no name":        {"", "password of yoko"},
				"star":           {"*", "password of yoko"},
				"filter":         {"yoko)(uid=*", "password of yoko"},
				"filter, or":     {"x)(|(uid=yoko)", "password of yoko"},
				"DN":             {"yoko," + peopleDN, "password of yoko"},
				"DN of another":  {"taro", "password of yoko"},
				"zero byte":      {"yoko\x00", "password of yoko"},
				"no text":        {"yoko\xff", "password of yoko"},
				"long":           {strings.Repeat("y", 1000), "password of yoko"},
				"another domain": {"yoko@example.org", "password of yoko"},
			} {
				if p, err := d.signIn(t.Context(), c.name, c.password); weft.KindOf(err) != weft.Unauthenticated {
					t.Errorf("%s: %+v, %v", wrong, p, err)
				}
			}
		})
	}
}

func TestADirectoryThatDoesNotServe(t *testing.T) {
	t.Parallel()
	server := newDirServer(t, false)
	gone := server.settings(t)
	gone.URLs = gone.URLs[:1]
	untrusted := server.settings(t)
	untrusted.CAFile = ""
	refused := server.settings(t)
	refused.BindDN = "cn=nobody,dc=example,dc=org"
	for what, l := range map[string]LDAP{"gone": gone, "not trusted": untrusted, "refuses us": refused} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			d := openDirectory(t, l)
			_, err := d.signIn(t.Context(), "yoko", "password of yoko")
			if weft.KindOf(err) != weft.Unavailable {
				t.Errorf("%v", err)
			}
		})
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	for _, who := range server.binds {
		if strings.Contains(who, "yoko") {
			t.Error("her password was sent where nobody is trusted")
		}
	}
}

func TestTwoOfOneNameAreNobody(t *testing.T) {
	t.Parallel()
	server := newDirServer(t, false)
	server.entries["uid=yoko,ou=former,"+peopleDN] = server.entries["uid=yoko,"+peopleDN]
	d := openDirectory(t, server.settings(t))
	if _, err := d.signIn(t.Context(), "yoko", "password of yoko"); weft.KindOf(err) != weft.Unauthenticated {
		t.Errorf("%v", err)
	}
}

func TestPeopleOfADirectorySignIn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		server := newDirServer(t, false)
		w := newWorld(t, db, Settings{LDAP: server.settings(t)}, nil)
		u, err := w.SignIn(t.Context(), "Yoko", "password of yoko", home)
		if err != nil || u.Name != "yoko" || u.HasPassword || u.Admin {
			t.Fatalf("%+v, %v", u, err)
		}
		w.logged("sign-in yoko done by directory")
		if ms, err := db.Members(t.Context(), weft.ProjectID{}, u.ID); err != nil || len(ms) != 1 || ms[0].Role != weft.Member {
			t.Errorf("%v, %v", ms, err)
		}
		if again, err := w.SignIn(t.Context(), "yoko", "password of yoko", home); err != nil || again.ID != u.ID {
			t.Errorf("%+v, %v", again, err)
		}
		for what, c := range map[string]struct {
			name, password string
			want           weft.Kind
		}{
			"wrong": {"yoko", "guess guess", weft.Unauthenticated}, "not of the staff": {"taro", "password of taro", weft.Forbidden},
			"an account of ours": {"hanako", password, ""}, "and its password goes nowhere": {"hanako", "guess guess", weft.Unauthenticated},
		} {
			if k := w.try(c.name, c.password, home); k != c.want {
				t.Errorf("%s: %q", what, k)
			}
		}
		server.mu.Lock()
		defer server.mu.Unlock()
		for _, who := range server.binds {
			if strings.Contains(who, "hanako") {
				t.Error("the directory was given the password of an account of ours")
			}
		}
	})
}

func TestSettingsThatCannotBeMeant(t *testing.T) {
	t.Parallel()
	ok := Settings{SignIn: DefaultSignIn()}
	if err := ok.Check(); err != nil {
		t.Fatal(err)
	}
	provider := func(change func(*Provider)) Settings {
		p := Provider{Name: "corp", Issuer: "https://id.example.org", ClientID: "weft"}
		change(&p)
		return Settings{SignIn: DefaultSignIn(), OIDC: OIDC{[]Provider{p}}}
	}
	if err := provider(func(*Provider) {}).Check(); err != nil {
		t.Fatal(err)
	}
	dir := func(change func(*LDAP)) Settings {
		l := LDAP{URLs: []string{"ldaps://ldap.example.org"}, BaseDN: peopleDN}
		change(&l)
		return Settings{SignIn: DefaultSignIn(), LDAP: l}
	}
	if err := dir(func(*LDAP) {}).Check(); err != nil {
		t.Fatal(err)
	}
	for what, s := range map[string]Settings{
		"no lives":         {},
		"url":              {SignIn: SignIn{URL: "weft.example.org", SessionIdle: 1, SessionLife: 1, TokenLife: 1}},
		"url with a path":  {SignIn: SignIn{URL: "https://example.org/weft", SessionIdle: 1, SessionLife: 1, TokenLife: 1}},
		"name":             provider(func(p *Provider) { p.Name = "../x" }),
		"no name":          provider(func(p *Provider) { p.Name = "" }),
		"plain issuer":     provider(func(p *Provider) { p.Issuer = "http://id.example.org" }),
		"no issuer":        provider(func(p *Provider) { p.Issuer = "" }),
		"no client":        provider(func(p *Provider) { p.ClientID = "" }),
		"role":             provider(func(p *Provider) { p.Groups.Roles = []GroupRole{{"a", "b", "king"}} }),
		"role of nothing":  provider(func(p *Provider) { p.Groups.Roles = []GroupRole{{"a", "", "member"}} }),
		"twice":            {SignIn: DefaultSignIn(), OIDC: OIDC{append(provider(func(*Provider) {}).OIDC.Providers, provider(func(*Provider) {}).OIDC.Providers...)}},
		"plain LDAP":       dir(func(l *LDAP) { l.URLs = []string{"ldap://ldap.example.org"} }),
		"LDAP by HTTP":     dir(func(l *LDAP) { l.URLs = []string{"http://ldap.example.org"} }),
		"password in URL":  dir(func(l *LDAP) { l.URLs = []string{"ldaps://a:b@ldap.example.org"} }),
		"no base":          dir(func(l *LDAP) { l.BaseDN = "" }),
		"template":         dir(func(l *LDAP) { l.BindTemplate = "uid=me" }),
		"filter":           dir(func(l *LDAP) { l.Filter = "(uid={user}" }),
		"filter of no one": dir(func(l *LDAP) { l.Filter = "(uid=me)" }),
		"group filter":     dir(func(l *LDAP) { l.GroupFilter = "member" }),
		"LDAP role":        dir(func(l *LDAP) { l.Groups.Roles = []GroupRole{{"a", "b", ""}} }),
	} {
		if err := s.Check(); weft.KindOf(err) != weft.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, s := range map[string]Settings{
		"no secret file":   provider(func(p *Provider) { p.ClientSecretFile = "/nowhere" }),
		"no authority":     provider(func(p *Provider) { p.CAFile = "/nowhere" }),
		"no password":      dir(func(l *LDAP) { l.BindDN = readerDN }),
		"bad authority":    dir(func(l *LDAP) { l.CAFile = "ldap_test.go" }),
		"no password file": dir(func(l *LDAP) { l.BindPasswordFile = "/nowhere" }),
	} {
		w := newWorld(t, storetest.SQLite(t), Settings{}, nil)
		if err := w.Reload(s); weft.KindOf(err) != weft.Invalid {
			t.Errorf("%s: %v", what, err)
		}
		if w.now.Load().directory != nil || len(w.Providers()) > 0 {
			t.Errorf("%s: the former settings do not go on", what)
		}
	}
}

func TestSettingsChangeWhileTheServerRuns(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.signsIn(yoko)
	settings := corp(t, i.server.URL)
	w := newWorld(t, storetest.SQLite(t), settings, nil)
	to, state := w.begin()
	settings.SignIn = DefaultSignIn()
	known := w.now.Load().providers[0]
	if err := w.Reload(settings); err != nil || w.now.Load().providers[0] != known {
		t.Errorf("a provider that stays is asked again what it is like: %v", err)
	}
	settings.OIDC.Providers[0].Title = "Another Title"
	if err := w.Reload(settings); err != nil || w.Providers()[0].Title != "Another Title" {
		t.Errorf("%v, %v", w.Providers(), err)
	}
	if _, err := w.finish(state, i.visit(to)); err != nil {
		t.Errorf("a sign-in under way: %v", err)
	}
	settings.OIDC.Providers = nil
	if err := w.Reload(settings); err != nil || len(w.Providers()) > 0 {
		t.Errorf("%v, %v", w.Providers(), err)
	}
}
