package operate

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func newKeeper(t *testing.T, c *Certs) *Keeper {
	t.Helper()
	k, err := NewKeeper(KeeperConfig{Certs: c, Want: func() Names { return names }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// runs keeps the certificates good until the test ends.
func (k *Keeper) runs(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- k.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// shows returns the certificate that a client asking for a name is shown.
func (k *Keeper) shows(t *testing.T, name string) *tls.Certificate {
	t.Helper()
	c, err := k.GetCertificate(&tls.ClientHelloInfo{ServerName: name})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Over a year nobody looks after the server. At each moment it shows a certificate that
// is good for a month at least.
func TestAServerRenewsByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper(t, newCerts(t))
		k.look = ensureEvery // there is nothing to be seen, and a year has many seconds
		k.runs(t)
		made := map[string]bool{}
		for range 365 {
			time.Sleep(24 * time.Hour)
			leaf := k.shows(t, "weft.test").Leaf
			made[leaf.SerialNumber.String()] = true
			if left := time.Until(leaf.NotAfter); left < serverRenew-2*ensureEvery {
				t.Fatalf("a certificate with %s left is shown", left)
			}
		}
		if len(made) < 6 || len(made) > 8 {
			t.Errorf("in a year %d certificates were shown", len(made))
		}
	})
}

// What an administrator does to the files is shown without a restart.
func TestFilesAreWatched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCerts(t)
		k := newKeeper(t, c)
		k.runs(t)
		before := k.shows(t, "weft.test").Leaf
		time.Sleep(time.Minute)
		if !k.shows(t, "weft.test").Leaf.Equal(before) {
			t.Error("the certificate changed by itself")
		}
		if _, err := c.Renew(time.Now(), RenewOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * lookEvery)
		if k.shows(t, "weft.test").Leaf.Equal(before) {
			t.Error("the old certificate is still shown")
		}
	})
}

// Only TLS 1.2 and later is spoken, and the chain is good for a client that comes by an
// address.
func TestHandshakes(t *testing.T) {
	t.Parallel()
	c := newCerts(t)
	k := newKeeper(t, c)
	for _, v := range []struct {
		most  uint16
		suite []uint16
		fine  bool
	}{
		{tls.VersionTLS13, nil, true},
		{tls.VersionTLS12, nil, true},
		{tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}, false},
		{tls.VersionTLS11, nil, false},
	} {
		l, err := tls.Listen("tcp", "127.0.0.1:0", k.Config())
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if conn, err := l.Accept(); err == nil {
				conn.(*tls.Conn).Handshake()
				conn.Close()
			}
		}()
		trust, err := c.Trust("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		conn, err := tls.DialWithDialer(&net.Dialer{}, "tcp", l.Addr().String(), &tls.Config{RootCAs: pool(t, trust), MinVersion: tls.VersionTLS10, MaxVersion: v.most, CipherSuites: v.suite})
		if (err == nil) != v.fine {
			t.Errorf("version %x, suites %v: %v", v.most, v.suite, err)
		}
		if err == nil {
			conn.Close()
		}
		l.Close()
	}
}
