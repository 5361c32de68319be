package operate

import (
	"net"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/weft-dev/weft"
)

// Names are what a server's certificate is for: names and addresses, in two parts.
type Names struct {
	Given   []string `json:"given"`            // by the settings
	Machine []string `json:"machine"`          // its host name and its addresses
	Public  []string `json:"public,omitempty"` // of Given, those that a public authority vouches for
}

// loopback is in every certificate: the server's own user comes that way.
var loopback = []string{"localhost", "127.0.0.1", "::1"}

// mostAddresses of a machine go into a certificate. One with more has a network for each
// of its containers or clients, which are no names of the server.
const mostAddresses = 64

// MachineNames returns this machine's host name and the addresses by which others can
// reach it.
func MachineNames() []string {
	var names []string
	if host, err := os.Hostname(); err == nil && isName(host) {
		names = append(names, strings.ToLower(host))
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return names // an address that is missing is named in the settings
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && len(names) < mostAddresses {
			names = append(names, n.IP.String())
		}
	}
	return names
}

// all returns every name once, in the order of importance.
func (n Names) all() []string {
	var all []string
	for _, name := range slices.Concat(n.Given, n.Machine, loopback) {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// first is the name to call the server by.
func (n Names) first() string { return n.all()[0] }

// External returns the names and addresses that others reach the server by.
func (n Names) External() []string {
	return slices.DeleteFunc(n.all(), func(name string) bool { return slices.Contains(loopback, name) })
}

// ParseName reads a name or address for a certificate: a host name, one that begins with
// "*.", or an IP address.
func ParseName(text string) (string, error) {
	if ip := net.ParseIP(strings.Trim(text, "[]")); ip != nil {
		return ip.String(), nil
	}
	if !isName(text) {
		return "", weft.Errorf(weft.Invalid, "%q is neither a host name nor an address", text).WithAdvice("write names like weft.example.org, without https:// and without a port")
	}
	return strings.ToLower(text), nil
}

var hostName = regexp.MustCompile(`^(\*\.)?[a-zA-Z0-9_]([a-zA-Z0-9_-]*[a-zA-Z0-9_])?(\.[a-zA-Z0-9_]([a-zA-Z0-9_-]*[a-zA-Z0-9_])?)*$`)

const maxName = 253 // RFC 1035, section 2.3.4

func isName(text string) bool { return len(text) <= maxName && hostName.MatchString(text) }
