package identity

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"github.com/weft-dev/weft"
)

// LDAP is the section of settings for sign-in by a directory (RFC 4511). {user} in
// texts stands for the name that somebody types, escaped as its place demands. The
// password for BindDN is in the file, or in the variable WEFT_LDAP_PASSWORD.
type LDAP struct {
	URLs       []string `koanf:"urls" yaml:"urls"`               // ldaps://… or ldap://…, tried in order; none: no directory is asked
	StartTLS   bool     `koanf:"start-tls" yaml:"start-tls"`     // encrypt ldap://
	AllowPlain bool     `koanf:"allow-plain" yaml:"allow-plain"` // send passwords in clear
	CAFile     string   `koanf:"ca-file" yaml:"ca-file"`         // authority of the directory's certificate, PEM; empty: the machine's

	BindTemplate     string `koanf:"bind-template" yaml:"bind-template"` // bind at once as this: uid={user},ou=people,… or {user}@example.org
	BindDN           string `koanf:"bind-dn" yaml:"bind-dn"`             // or look for the person as this, empty: anonymously
	BindPasswordFile string `koanf:"bind-password-file" yaml:"bind-password-file"`
	BaseDN           string `koanf:"base-dn" yaml:"base-dn"` // where people are
	Filter           string `koanf:"filter" yaml:"filter"`   // empty: (uid={user})

	NameAttribute     string `koanf:"name-attribute" yaml:"name-attribute"` // empty: uid
	FullNameAttribute string `koanf:"full-name-attribute" yaml:"full-name-attribute"`
	EmailAttribute    string `koanf:"email-attribute" yaml:"email-attribute"`
	IDAttribute       string `koanf:"id-attribute" yaml:"id-attribute"` // that never changes, such as entryUUID or objectGUID; empty: the entry's DN

	GroupBaseDN string `koanf:"group-base-dn" yaml:"group-base-dn"` // where groups are; empty: those of memberOf
	GroupFilter string `koanf:"group-filter" yaml:"group-filter"`   // with {dn} of the person; empty: (member={dn})
	Groups      Groups `koanf:"groups" yaml:"groups"`               // by their DN or their cn
}

const (
	ldapTimeout = 5 * time.Second
	userPlace   = "{user}"
	dnPlace     = "{dn}"
	maxLDAPName = 256
)

// Check returns an error unless the settings can be meant. It asks no directory.
func (l LDAP) Check() error {
	for _, s := range l.URLs {
		u, err := url.Parse(s)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "ldap" && u.Scheme != "ldaps" || u.User != nil:
			return weft.Errorf(weft.Invalid, "ldap: %q is not a URL that begins with ldaps:// or ldap://", s)
		case u.Scheme == "ldap" && !l.StartTLS && !l.AllowPlain && !isLoopback(u.Hostname()):
			return weft.Errorf(weft.Invalid, "ldap: passwords would go to %s in clear", u.Host).
				WithAdvice("use ldaps://, or start-tls: true; allow-plain: true says that the network is trusted")
		}
	}
	switch {
	case len(l.URLs) == 0:
		return nil
	case l.BindTemplate != "" && !strings.Contains(l.BindTemplate, userPlace):
		return weft.Errorf(weft.Invalid, "ldap: bind-template %q has no %s", l.BindTemplate, userPlace)
	case l.BaseDN == "" && !isDN(l.BindTemplate):
		return weft.Errorf(weft.Invalid, "ldap: base-dn is missing").WithAdvice("say below which entry people are")
	}
	if _, err := ldap.CompileFilter(l.filter("x")); err != nil || l.Filter != "" && !strings.Contains(l.Filter, userPlace) {
		return weft.Errorf(weft.Invalid, "ldap: filter %q is not a filter with %s", l.Filter, userPlace)
	}
	if _, err := ldap.CompileFilter(l.groupFilter("x", "x")); err != nil {
		return weft.Errorf(weft.Invalid, "ldap: group-filter %q is not a filter", l.GroupFilter)
	}
	if err := l.Groups.check(); err != nil {
		return fmt.Errorf("ldap: groups: %w", err)
	}
	return nil
}

// filter returns the search filter for somebody (RFC 4515).
func (l LDAP) filter(name string) string {
	return strings.ReplaceAll(cmp.Or(l.Filter, "(uid="+userPlace+")"), userPlace, ldap.EscapeFilter(name))
}

func (l LDAP) groupFilter(dn, name string) string {
	return strings.NewReplacer(dnPlace, ldap.EscapeFilter(dn), userPlace, ldap.EscapeFilter(name)).Replace(cmp.Or(l.GroupFilter, "(member="+dnPlace+")"))
}

// isDN reports whether a template is for a distinguished name, and not for a name like
// those of Active Directory.
func isDN(template string) bool { return strings.Contains(template, "=") }

// A directory is one that is in use.
type directory struct {
	LDAP
	password string
	tls      *tls.Config
}

func newDirectory(l LDAP, getenv func(string) string) (*directory, error) {
	password, err := readSecret(l.BindPasswordFile, getenv("WEFT_LDAP_PASSWORD"))
	if err != nil {
		return nil, fmt.Errorf("ldap: bind-password-file: %w", err)
	}
	if l.BindDN != "" && password == "" {
		return nil, weft.Errorf(weft.Invalid, "ldap: there is no password for %s", l.BindDN).WithAdvice("write it into a file and name that as bind-password-file")
	}
	roots, err := readRoots(l.CAFile)
	if err != nil {
		return nil, fmt.Errorf("ldap: ca-file: %w", err)
	}
	return &directory{l, password, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}, nil
}

// signIn asks the directory whether the password is that of the name, and who it is.
// Unauthenticated says that it is not; Unavailable that the directory does not answer.
func (d *directory) signIn(ctx context.Context, name, password string) (Person, error) {
	wrong := weft.Errorf(weft.Unauthenticated, "the directory does not know that name with that password")
	// A bind without a password succeeds for any name (RFC 4513, §5.1.2).
	if name == "" || password == "" || len(name) > maxLDAPName || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
		return Person{}, wrong
	}
	c, err := d.dial(ctx)
	if err != nil {
		return Person{}, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	var e *ldap.Entry
	var groups []string
	if d.BindTemplate != "" {
		e, groups, err = d.bindAtOnce(c, name, password)
	} else {
		e, groups, err = d.searchAndBind(c, name, password)
	}
	switch {
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax, ldap.LDAPResultInappropriateAuthentication), errors.Is(err, errNobody):
		return Person{}, wrong
	case err != nil:
		return Person{}, because(weft.Errorf(weft.Unavailable, "the directory does not answer as it should").WithAdvice("try again in a while"), err)
	}
	return d.person(e, groups)
}

// reach connects, and signs in as who looks for people.
func (d *directory) reach(ctx context.Context) error {
	c, err := d.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if d.BindTemplate != "" {
		return nil
	}
	return d.bindReader(c)
}

var errNobody = errors.New("no entry, or several, have that name")

// dial connects to the first directory that answers.
func (d *directory) dial(ctx context.Context) (*ldap.Conn, error) {
	var errs []error
	for _, s := range d.URLs {
		c, err := d.dialOne(ctx, s)
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
	}
	return nil, because(weft.Errorf(weft.Unavailable, "the directory cannot be reached just now").WithAdvice("try again in a while"), errors.Join(errs...))
}

func (d *directory) dialOne(ctx context.Context, s string) (*ldap.Conn, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: ldapTimeout}
	if end, ok := ctx.Deadline(); ok {
		dialer.Deadline = end
	}
	config := d.tls.Clone()
	config.ServerName = u.Hostname()
	c, err := ldap.DialURL(s, ldap.DialWithDialer(dialer), ldap.DialWithTLSConfig(config))
	if err != nil {
		return nil, err
	}
	c.SetTimeout(ldapTimeout)
	if u.Scheme == "ldap" && d.StartTLS {
		if err := c.StartTLS(config); err != nil {
			return nil, errors.Join(fmt.Errorf("start TLS with %s: %w", u.Host, err), c.Close())
		}
	}
	return c, nil
}

// bindAtOnce binds as what the template makes of the name, and then reads the entry with
// the person's own rights.
func (d *directory) bindAtOnce(c *ldap.Conn, name, password string) (*ldap.Entry, []string, error) {
	who := name
	if isDN(d.BindTemplate) {
		who = ldap.EscapeDN(name)
	} else if weft.CheckUserName(strings.ToLower(name)) != nil {
		return nil, nil, errNobody // there is no way to escape such a name
	}
	who = strings.ReplaceAll(d.BindTemplate, userPlace, who)
	if err := c.Bind(who, password); err != nil {
		return nil, nil, err
	}
	base, scope, filter := d.BaseDN, ldap.ScopeWholeSubtree, d.filter(name)
	if isDN(d.BindTemplate) {
		base, scope, filter = who, ldap.ScopeBaseObject, "(objectClass=*)"
	}
	e, err := d.find(c, base, scope, filter)
	if err != nil {
		return nil, nil, err
	}
	groups, err := d.groupsOf(c, e, name)
	return e, groups, err
}

// searchAndBind looks for the person as the directory lets BindDN, and then binds as
// the one entry that was found.
func (d *directory) searchAndBind(c *ldap.Conn, name, password string) (*ldap.Entry, []string, error) {
	if err := d.bindReader(c); err != nil {
		return nil, nil, err
	}
	e, err := d.find(c, d.BaseDN, ldap.ScopeWholeSubtree, d.filter(name))
	if err != nil {
		return nil, nil, err
	}
	groups, err := d.groupsOf(c, e, name)
	if err != nil {
		return nil, nil, err
	}
	return e, groups, c.Bind(e.DN, password)
}

// bindReader binds as who looks for people.
func (d *directory) bindReader(c *ldap.Conn) error {
	var err error
	if d.BindDN == "" {
		err = c.UnauthenticatedBind("")
	} else {
		err = c.Bind(d.BindDN, d.password)
	}
	if err != nil {
		return fmt.Errorf("bind as %q: %s", d.BindDN, err) // not %w: this is not the person's own mistake
	}
	return nil
}

// find returns the one entry that a filter matches.
func (d *directory) find(c *ldap.Conn, base string, scope int, filter string) (*ldap.Entry, error) {
	attributes := []string{d.nameAttribute(), d.fullNameAttribute(), d.emailAttribute(), "memberOf"}
	if d.IDAttribute != "" {
		attributes = append(attributes, d.IDAttribute)
	}
	res, err := c.Search(ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, 2, int(ldapTimeout.Seconds()), false, filter, attributes, nil))
	if ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) || err == nil && len(res.Entries) != 1 {
		return nil, errNobody
	}
	if err != nil {
		return nil, err
	}
	return res.Entries[0], nil
}

// groupsOf returns the groups of an entry, by their DN and by their cn.
func (d *directory) groupsOf(c *ldap.Conn, e *ldap.Entry, name string) ([]string, error) {
	dns := e.GetEqualFoldAttributeValues("memberOf")
	if d.GroupBaseDN != "" {
		res, err := c.Search(ldap.NewSearchRequest(d.GroupBaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, int(ldapTimeout.Seconds()), false,
			d.groupFilter(e.DN, name), []string{"cn"}, nil))
		if err != nil {
			return nil, fmt.Errorf("look for groups: %s", err) // not %w, as above
		}
		for _, g := range res.Entries {
			dns = append(dns, g.DN)
		}
	}
	groups := slices.Clone(dns)
	for _, text := range dns {
		if dn, err := ldap.ParseDN(text); err == nil && len(dn.RDNs) > 0 && strings.EqualFold(dn.RDNs[0].Attributes[0].Type, "cn") {
			groups = append(groups, dn.RDNs[0].Attributes[0].Value)
		}
	}
	return groups, nil
}

func (d *directory) nameAttribute() string     { return cmp.Or(d.NameAttribute, "uid") }
func (d *directory) fullNameAttribute() string { return cmp.Or(d.FullNameAttribute, "cn") }
func (d *directory) emailAttribute() string    { return cmp.Or(d.EmailAttribute, "mail") }

// person makes a Person of an entry.
func (d *directory) person(e *ldap.Entry, groups []string) (Person, error) {
	subject := e.DN
	if d.IDAttribute != "" {
		subject = attributeID(e.GetEqualFoldRawAttributeValue(d.IDAttribute))
	}
	if subject == "" {
		return Person{}, weft.Errorf(weft.Invalid, "the directory's entry has no %s", d.IDAttribute).WithAdvice("an administrator checks id-attribute in the server's settings")
	}
	p := Person{
		Identity: weft.Identity{Issuer: "ldap:" + strings.ToLower(cmp.Or(d.BaseDN, d.BindTemplate)), Subject: subject},
		FullName: e.GetEqualFoldAttributeValue(d.fullNameAttribute()),
		Email:    e.GetEqualFoldAttributeValue(d.emailAttribute()),
		Groups:   groups,
	}
	var err error
	p.Name, err = accountName(e.GetEqualFoldAttributeValue(d.nameAttribute()))
	return p, err
}

// attributeID makes a text of an identifier, which may be bytes, as objectGUID is.
func attributeID(b []byte) string {
	if utf8.Valid(b) && !slices.ContainsFunc(b, func(c byte) bool { return c < ' ' }) {
		return string(b)
	}
	return fmt.Sprintf("%x", b)
}
