package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
	"github.com/jimlambrt/gldap"
)

// A dirServer is an LDAP server in this process, made of gldap, with what is needed of
// the rest: it evaluates filters.
type dirServer struct {
	t       *testing.T
	address string
	caFile  string
	tls     *tls.Config

	mu      sync.Mutex
	entries map[string]map[string][]string // by DN
	binds   []string
}

const (
	peopleDN  = "ou=people,dc=example,dc=org"
	groupsDN  = "ou=groups,dc=example,dc=org"
	readerDN  = "cn=weft,dc=example,dc=org"
	readerKey = "the-password-of-the-reader"
)

// newDirServer starts one, which speaks TLS from the beginning or when asked to.
func newDirServer(t *testing.T, ldaps bool) *dirServer {
	t.Helper()
	d := &dirServer{t: t, entries: map[string]map[string][]string{
		readerDN: {"userPassword": {readerKey}},
		"uid=yoko," + peopleDN: {
			"objectClass": {"person"}, "uid": {"yoko"}, "cn": {"Yoko Example"}, "mail": {"yoko@example.org"}, "userPassword": {"password of yoko"},
			"entryUUID": {"5f2c"}, "memberOf": {"cn=staff," + groupsDN},
		},
		"uid=taro," + peopleDN:  {"objectClass": {"person"}, "uid": {"taro"}, "cn": {"Taro"}, "userPassword": {"password of taro"}, "entryUUID": {"77aa"}},
		"cn=ml," + groupsDN:     {"objectClass": {"groupOfNames"}, "cn": {"ml"}, "member": {"uid=yoko," + peopleDN}},
		"cn=admins," + groupsDN: {"objectClass": {"groupOfNames"}, "cn": {"admins"}, "member": {"uid=taro," + peopleDN}},
	}}
	d.tls, d.caFile = selfSigned(t)
	s, err := gldap.NewServer()
	if err != nil {
		t.Fatal(err)
	}
	mux, err := gldap.NewMux()
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{mux.Bind(d.bind), mux.Search(d.search), mux.ExtendedOperation(d.startTLS, gldap.ExtendedOperationStartTLS)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Router(mux); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.address = l.Addr().String()
	if err := l.Close(); err != nil { // gldap listens by itself
		t.Fatal(err)
	}
	var options []gldap.Option
	if ldaps {
		options = append(options, gldap.WithTLSConfig(d.tls))
	}
	go func() {
		if err := s.Run(d.address, options...); err != nil {
			t.Errorf("the directory: %v", err)
		}
	}()
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	for !s.Ready() {
		runtime.Gosched() // it tells in no other way
	}
	return d
}

// selfSigned returns what a server at 127.0.0.1 needs, and a file with its authority.
func selfSigned(t *testing.T) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, file
}

func (d *dirServer) bind(w *gldap.ResponseWriter, r *gldap.Request) {
	res := r.NewBindResponse(gldap.WithResponseCode(gldap.ResultInvalidCredentials))
	defer d.write(w, res)
	m, err := r.GetSimpleBindMessage()
	if err != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.binds = append(d.binds, m.UserName)
	name := m.UserName
	if user, isUPN := strings.CutSuffix(name, "@example.org"); isUPN {
		name = "uid=" + user + "," + peopleDN
	}
	e := d.entries[name]
	if m.Password == "" || e != nil && slices.Contains(e["userPassword"], string(m.Password)) {
		res.SetResultCode(gldap.ResultSuccess) // without a password everyone is welcome, as RFC 4513 has it
	}
}

func (d *dirServer) startTLS(w *gldap.ResponseWriter, r *gldap.Request) {
	res := r.NewExtendedResponse(gldap.WithResponseCode(gldap.ResultSuccess))
	res.SetResponseName(gldap.ExtendedOperationStartTLS)
	d.write(w, res)
	if err := r.StartTLS(d.tls); err != nil {
		d.t.Logf("start TLS: %v", err) // a client that does not trust us
	}
}

func (d *dirServer) search(w *gldap.ResponseWriter, r *gldap.Request) {
	done := r.NewSearchDoneResponse(gldap.WithResponseCode(gldap.ResultSuccess))
	defer d.write(w, done)
	m, err := r.GetSearchMessage()
	if err != nil {
		done.SetResultCode(gldap.ResultProtocolError)
		return
	}
	f, err := ldap.CompileFilter(m.Filter)
	if err != nil {
		done.SetResultCode(gldap.ResultFilterError)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for dn, e := range d.entries {
		under := strings.HasSuffix(dn, ","+m.BaseDN) && m.Scope == gldap.WholeSubtree
		if (dn == m.BaseDN || under) && matches(f, e) {
			d.write(w, r.NewSearchResponseEntry(dn, gldap.WithAttributes(e)))
		}
	}
}

func (d *dirServer) write(w *gldap.ResponseWriter, r gldap.Response) {
	if err := w.Write(r); err != nil {
		d.t.Logf("the directory answers: %v", err) // the client went away
	}
}

// matches evaluates a filter (RFC 4511, section 4.5.1.7).
func matches(f *ber.Packet, e map[string][]string) bool {
	switch f.Tag {
	case ldap.FilterAnd:
		return !slices.ContainsFunc(f.Children, func(c *ber.Packet) bool { return !matches(c, e) })
	case ldap.FilterOr:
		return slices.ContainsFunc(f.Children, func(c *ber.Packet) bool { return matches(c, e) })
	case ldap.FilterNot:
		return !matches(f.Children[0], e)
	case ldap.FilterPresent:
		return strings.EqualFold(ber.DecodeString(f.Data.Bytes()), "objectClass") || len(e[ber.DecodeString(f.Data.Bytes())]) > 0
	case ldap.FilterEqualityMatch:
		return slices.Contains(e[ber.DecodeString(f.Children[0].Data.Bytes())], ber.DecodeString(f.Children[1].Data.Bytes()))
	case ldap.FilterSubstrings:
		return len(e[ber.DecodeString(f.Children[0].Data.Bytes())]) > 0
	}
	return false
}
