package egress

import (
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weft-dev/weft"
)

// names is a DNS of our own: each name has addresses, or other ones every time it is asked.
type names map[string]func() []string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	f, ok := n[host]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var out []netip.Addr
	for _, text := range f() {
		out = append(out, netip.MustParseAddr(text))
	}
	return out, nil
}

func always(addrs ...string) func() []string { return func() []string { return addrs } }

func rules(t *testing.T, texts ...string) []Rule {
	t.Helper()
	var out []Rule
	for _, text := range texts {
		r, err := ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// A listener on loopback stands for everything that must not be reached; reached counts.
func inside(t *testing.T) (port string, reached *atomic.Int64) {
	t.Helper()
	reached = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		io.WriteString(w, "inside")
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port(), reached
}

func get(g *Gate, target string) (string, error) {
	resp, err := g.Client().Get(target)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func TestSpecialAddressesAreRefused(t *testing.T) {
	t.Parallel()
	port, reached := inside(t)
	g := New(Policy{})
	for host, what := range map[string]string{
		"127.0.0.1": "this machine", "127.8.8.8": "this machine", "0.0.0.0": "this machine", "[::1]": "this machine", "[::]": "this machine",
		"169.254.169.254": "link-local", "169.254.170.2": "link-local", "[fe80::1]": "link-local",
		"[fd00:ec2::254]": "cloud", "168.63.129.16": "cloud", "100.100.100.200": "cloud", "192.0.0.192": "cloud",
		"10.1.2.3": "private", "172.31.0.1": "private", "192.168.1.1": "private", "100.64.0.1": "private", "[fd12::1]": "private", "[fec0::1]": "private",
		"224.0.0.1": "multicast", "255.255.255.255": "multicast", "[ff02::1]": "multicast",
		"192.0.2.1": "reserved", "198.18.0.1": "reserved", "240.0.0.1": "reserved", "[2001:db8::1]": "reserved", "[100::1]": "reserved",
		// IPv6 forms of an IPv4 address: mapped, compatible, NAT64, 6to4; and Teredo.
		"[::ffff:127.0.0.1]": "this machine", "[::ffff:a9fe:a9fe]": "link-local", "[::127.0.0.1]": "this machine", "[::ffff:10.0.0.1]": "private",
		"[64:ff9b::a9fe:a9fe]": "link-local", "[64:ff9b:1::a00:1]": "reserved", "[2002:7f00:1::]": "this machine", "[2002:a00:1::1]": "private",
		"[2001:0:4136:e378:8000:63bf:3fff:fdd2]": "reserved",
	} {
		target := "http://" + host + ":" + port + "/"
		if err := g.Check(target); weft.KindOf(err) != weft.Forbidden || !strings.Contains(err.Error(), what) {
			t.Errorf("check %s: %v; want %q", host, err, what)
		}
		if _, err := get(g, target); weft.KindOf(err) != weft.Forbidden || !strings.Contains(err.Error(), what) {
			t.Errorf("get %s: %v; want %q", host, err, what)
		}
	}
	if reached.Load() != 0 {
		t.Error("a request got through")
	}
}

func TestPublicAddressesPassTheCheck(t *testing.T) {
	t.Parallel()
	g := New(Policy{})
	for _, u := range []string{"https://example.com/x?y=z", "http://8.8.8.8:8080/", "https://[2606:4700::1111]/", "https://[64:ff9b::808:808]/", "https://1.example/", "https://0xa.example/"} {
		if err := g.Check(u); err != nil {
			t.Errorf("%s: %v", u, err)
		}
	}
}

// What is not quite a URL, or a number that some programs take for an address, is refused
// before anybody is asked.
func TestOddURLsAreRefused(t *testing.T) {
	t.Parallel()
	g := New(Policy{Resolver: names{}})
	for u, want := range map[string]string{
		"file:///etc/passwd":            "begins with http",
		"gopher://example.com/":         "begins with http",
		"example.com/hook":              "begins with http",
		"http:///path":                  "no host",
		"http:127.0.0.1":                "no host",
		"https://user:pw@example.com/":  "no user or password",
		"https://example.com@10.0.0.1/": "no user or password",
		"http://2130706433/":            "not an address",
		"http://127.1/":                 "not an address",
		"http://0177.0.0.1/":            "not an address",
		"http://0x7f.0.0.1/":            "not an address",
		"http://0x7f000001/":            "not an address",
		"http://127.0.0.1./":            "not an address",
		"http://exa mple.com/s3cret":    "not a URL",
		"http://[fe80::1%25eth0]/":      "network interface",
	} {
		err := g.Check(u)
		if k := weft.KindOf(err); k != weft.Invalid && k != weft.Forbidden || !strings.Contains(err.Error(), want) {
			t.Errorf("check %s: %v; want %q", u, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "pw") || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("check %s tells a secret: %v", u, err)
		}
		if _, err := get(g, u); err == nil {
			t.Errorf("get %s: no error", u)
		}
	}
}

func TestNamesAreCheckedByTheirAddress(t *testing.T) {
	t.Parallel()
	port, reached := inside(t)
	g := New(Policy{Resolver: names{
		"evil.example": always("127.0.0.1"), "mapped.example": always("::ffff:127.0.0.1"), "metadata.example": always("169.254.169.254"),
		"localhost": always("127.0.0.1", "::1"), "localhost.": always("127.0.0.1"),
	}})
	for _, host := range []string{"evil.example", "mapped.example", "metadata.example", "localhost", "localhost."} {
		target := "http://" + host + ":" + port + "/"
		if err := g.Check(target); err != nil {
			t.Errorf("check %s asked somebody: %v", host, err)
		}
		if _, err := get(g, target); weft.KindOf(err) != weft.Forbidden || !strings.Contains(err.Error(), host) {
			t.Errorf("get %s: %v", host, err)
		}
	}
	if reached.Load() != 0 {
		t.Error("a request got through")
	}
}

// A name that is public when it is asked for first and loopback a moment later is resolved
// once per connection, and what was checked is what is dialled.
func TestRebindingGainsNothing(t *testing.T) {
	t.Parallel()
	port, reached := inside(t)
	var asked atomic.Int64
	g := New(Policy{Resolver: names{"rebind.example": func() []string {
		if asked.Add(1) == 1 {
			return []string{"127.0.0.1"}
		}
		return []string{"127.0.0.2"} // what the second look would have been answered
	}}, Allow: rules(t, "127.0.0.1")})
	target := "http://rebind.example:" + port + "/"
	if body, err := get(g, target); err != nil || body != "inside" {
		t.Fatalf("the first answer is allowed: %q, %v", body, err)
	}
	if asked.Load() != 1 {
		t.Errorf("the name was resolved %d times for one request", asked.Load())
	}
	g.Set(*g.policy.Load()) // no kept connection
	if _, err := get(g, target); weft.KindOf(err) != weft.Forbidden {
		t.Errorf("the second answer is not allowed: %v", err)
	}
	if reached.Load() != 1 {
		t.Errorf("reached %d times", reached.Load())
	}
}

// What the kernel is told is checked too, whoever resolved it.
func TestDialerChecksTheLastWord(t *testing.T) {
	t.Parallel()
	port, reached := inside(t)
	p := &Policy{}
	_, err := p.dialer("public.example", port).Dial("tcp", net.JoinHostPort("127.0.0.1", port))
	if weft.KindOf(err) != weft.Forbidden {
		t.Errorf("dialled: %v", err)
	}
	if reached.Load() != 0 {
		t.Error("a request got through")
	}
}

func TestRedirectsAreChecked(t *testing.T) {
	t.Parallel()
	port, reached := inside(t)
	var to atomic.Value
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, to.Load().(string), http.StatusTemporaryRedirect)
	}))
	t.Cleanup(door.Close)
	u, err := url.Parse(door.URL)
	if err != nil {
		t.Fatal(err)
	}
	g := New(Policy{Resolver: names{"evil.example": always("127.0.0.1")}, Allow: rules(t, "127.0.0.1:"+u.Port())})
	for _, target := range []string{
		"http://127.0.0.1:" + port + "/", "http://evil.example:" + port + "/", "http://user:pw@8.8.8.8/", "file:///etc/passwd", door.URL + "/round",
	} {
		to.Store(target)
		if _, err := get(g, door.URL); err == nil {
			t.Errorf("followed to %s", target)
		}
	}
	if reached.Load() != 0 {
		t.Error("a request got through")
	}
	to.Store("http://127.0.0.1:" + port + "/")
	resp, err := g.Poster().Post(door.URL, "text/plain", strings.NewReader("signed"))
	if err != nil || resp.StatusCode != http.StatusTemporaryRedirect {
		t.Errorf("what is posted is not sent on: %v, %v", resp, err)
	}
}

func TestNoWayBackFromTLS(t *testing.T) {
	t.Parallel()
	plain, reached := inside(t)
	door := httptest.NewTLSServer(http.RedirectHandler("http://127.0.0.1:"+plain+"/", http.StatusFound))
	t.Cleanup(door.Close)
	roots := x509.NewCertPool()
	roots.AddCert(door.Certificate())
	g := New(Policy{Allow: rules(t, "127.0.0.0/8"), Roots: roots})
	if _, err := get(g, door.URL); weft.KindOf(err) != weft.Forbidden || reached.Load() != 0 {
		t.Errorf("from https to http: %v", err)
	}
	strict := New(Policy{Allow: rules(t, "127.0.0.0/8")})
	if _, err := get(strict, door.URL); err == nil {
		t.Errorf("a certificate of nobody was taken: %v", err)
	}
}

func TestSettingsAllow(t *testing.T) {
	t.Parallel()
	port, _ := inside(t)
	dns := names{"hook.internal": always("127.0.0.1"), "a.hooks.internal": always("127.0.0.1"), "cloud.internal": always("169.254.169.254"),
		"both.example": always("10.0.0.1", "127.0.0.1")}
	for _, c := range []struct {
		allow, target string
		ok            bool
	}{
		{"127.0.0.0/8", "127.0.0.1", true},
		{"127.0.0.1", "127.0.0.1", true},
		{"127.0.0.1:" + port, "127.0.0.1", true},
		{"127.0.0.1:1", "127.0.0.1", false},
		{"127.0.0.0/8", "both.example", true}, // the one of its addresses that is allowed
		{"hook.internal", "hook.internal", true},
		{"Hook.Internal:" + port, "hook.internal", true},
		{"hook.internal:1", "hook.internal", false},
		{"hook.internal", "127.0.0.1", false},
		{"*.internal", "a.hooks.internal", true},
		{"*.hooks.internal", "hook.internal", false},
		{"cloud.internal", "cloud.internal", false}, // link-local takes its address
	} {
		g := New(Policy{Allow: rules(t, c.allow), Resolver: dns})
		_, err := get(g, "http://"+c.target+":"+port+"/")
		if c.ok != (err == nil) {
			t.Errorf("with %s allowed, %s: %v", c.allow, c.target, err)
		}
	}
}

func TestRulesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "*", "*internal", "http://a", "a b", "10.0.0.0/33", "host:port", "host:", "2130706433", "fe80::1%eth0"} {
		if _, err := ParseRule(text); weft.KindOf(err) != weft.Invalid {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A new policy is in force at once, kept connections notwithstanding.
func TestPolicyIsReplaced(t *testing.T) {
	t.Parallel()
	port, _ := inside(t)
	g := New(Policy{Allow: rules(t, "127.0.0.1")})
	target := "http://127.0.0.1:" + port + "/"
	if _, err := get(g, target); err != nil {
		t.Fatal(err)
	}
	g.Set(Policy{})
	if _, err := get(g, target); weft.KindOf(err) != weft.Forbidden {
		t.Errorf("after it was forbidden: %v", err)
	}
}

func TestCauseHidesTheURL(t *testing.T) {
	t.Parallel()
	_, err := get(New(Policy{Resolver: names{}}), "http://nowhere.example/s3cret")
	if err == nil || !strings.Contains(err.Error(), "s3cret") || strings.Contains(Cause(err).Error(), "s3cret") {
		t.Errorf("cause of %v is %v", err, Cause(err))
	}
}
