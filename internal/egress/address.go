package egress

import (
	"net/netip"
	"strings"

	"github.com/weft-dev/weft"
)

// A Rule allows what would be refused: addresses in a range, or whatever a name has for
// address. Make one with ParseRule.
type Rule struct {
	ranges netip.Prefix // not valid for a name
	name   string       // lower case; ".example.com" for all names below it
	port   string       // "" for any
}

// ParseRule reads 10.1.0.0/16, 10.1.2.3, [fd00::1]:8080, hooks.internal, hooks.internal:8080
// or *.internal. A name must be trusted together with whoever answers for it in the DNS; it
// never allows a link-local address or a cloud's own, which has to be written out.
func ParseRule(text string) (Rule, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return Rule{ranges: p.Masked()}, nil
	}
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return Rule{ranges: netip.PrefixFrom(a, a.BitLen())}, nil
	}
	if ap, err := netip.ParseAddrPort(text); err == nil && ap.Addr().Zone() == "" {
		_, port, _ := cutPort(text)
		return Rule{ranges: netip.PrefixFrom(ap.Addr(), ap.Addr().BitLen()), port: port}, nil
	}
	host, port, ok := cutPort(text)
	name := strings.ToLower(strings.TrimPrefix(host, "*"))
	if !ok || name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-._") != "" || looksLikeAddress(name) ||
		strings.HasPrefix(host, "*") && !strings.HasPrefix(name, ".") {
		return Rule{}, weft.Errorf(weft.Invalid, "%q is neither a range of addresses, nor an address, nor a name", text).
			WithAdvice("write 10.1.0.0/16, 10.1.2.3, hooks.internal, hooks.internal:8080 or *.internal")
	}
	return Rule{name: name, port: port}, nil
}

// cutPort cuts HOST:PORT; the port may be missing.
func cutPort(text string) (host, port string, ok bool) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return text, "", true
	}
	host, port = text[:i], text[i+1:]
	return host, port, port != "" && len(port) <= 5 && strings.Trim(port, "0123456789") == ""
}

// allows reports whether the rule is for this address, which host was resolved to.
func (r Rule) allows(a netip.Addr, host, port string) bool {
	if r.port != "" && r.port != port {
		return false
	}
	if r.name == "" {
		return r.ranges.Contains(a)
	}
	if _, strict := special(a); strict {
		return false
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == r.name || r.name[0] == '.' && strings.HasSuffix(host, r.name)
}

// refused lists what is not the public internet: IANA's registries of special-purpose
// addresses (RFC 6890 and its updates), and what clouds have put elsewhere.
var refused = []struct {
	what   string
	strict bool // no name may lead here: the address has to be allowed itself
	ranges []netip.Prefix
}{
	{"of this machine itself", false, prefixes("127.0.0.0/8", "::1/128", "0.0.0.0/8", "::/128")},
	{"link-local, where clouds answer with credentials", true, prefixes("169.254.0.0/16", "fe80::/10")},
	{"one of a cloud's own services", true, prefixes("168.63.129.16/32", "fd00:ec2::/32", "100.100.100.200/32", "192.0.0.192/32")},
	{"private", false, prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10")},
	{"multicast or broadcast", true, prefixes("224.0.0.0/4", "255.255.255.255/32", "ff00::/8")},
	{"reserved", false, prefixes("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16", "64:ff9b:1::/48")},
}

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		out[i] = netip.MustParsePrefix(text)
	}
	return out
}

// checkAddr refuses an address that is special and not allowed. Host, which it belongs to,
// may be the address itself.
func (p *Policy) checkAddr(a netip.Addr, host, port string) error {
	if a.Zone() != "" {
		return weft.Errorf(weft.Forbidden, "%s names a network interface", a)
	}
	plain := embedded(a)
	what, _ := special(plain)
	if what == "" {
		return nil
	}
	for _, r := range p.Allow {
		if r.allows(plain, host, port) || r.allows(a, host, port) {
			return nil
		}
	}
	shown := a.String()
	if host != shown {
		shown = host + " has the address " + shown + ", which"
	}
	return weft.Errorf(weft.Forbidden, "%s is %s, and Weft does not send requests there", shown, what).
		WithAdvice("if it is meant so, allow %s in the settings under egress: allow", plain)
}

// special says what a is if it is not an address of the public internet, else "".
func special(a netip.Addr) (what string, strict bool) {
	for _, r := range refused {
		for _, p := range r.ranges {
			if p.Contains(a) {
				return r.what, r.strict
			}
		}
	}
	return "", false
}

// embedded returns the IPv4 address that an IPv6 address is a way to: mapped
// (::ffff:0:0/96), compatible (::/96, RFC 4291), NAT64 (64:ff9b::/96, RFC 6052) and 6to4
// (2002::/16, RFC 3056). Others are returned as they are.
func embedded(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if a.Is4() {
		return a
	}
	b := a.As16()
	switch {
	case netip.MustParsePrefix("::/96").Contains(a) && !netip.MustParsePrefix("::/127").Contains(a),
		netip.MustParsePrefix("64:ff9b::/96").Contains(a):
		return netip.AddrFrom4([4]byte(b[12:16]))
	case netip.MustParsePrefix("2002::/16").Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return a
}
