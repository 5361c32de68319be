package operate

import (
	"crypto/x509"
	"testing"
)

func pool(t *testing.T, trust []byte) *x509.CertPool {
	t.Helper()
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(trust) {
		t.Fatalf("nothing to trust in %q", trust)
	}
	return p
}
