package app

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/weft-dev/weft/api"
)

// tlsHandshake is the first byte of a connection that begins with TLS (RFC 8446, section
// 5.1). No method of HTTP begins with it.
const tlsHandshake = 0x16

// split tells connections on l that begin with TLS from those of clients which speak
// plain HTTP by mistake, so that these can be told. Who sends nothing for long is cut
// off. Closing either of the two closes l.
func split(l net.Listener, patience time.Duration) (secure, plain net.Listener) {
	s := &splitter{Listener: l, closed: make(chan struct{})}
	a, b := &side{splitter: s, conns: make(chan net.Conn)}, &side{splitter: s, conns: make(chan net.Conn)}
	go s.run(a, b, patience)
	return a, b
}

type splitter struct {
	net.Listener
	closed chan struct{}
	once   sync.Once
	err    error // of Accept; set before closed is closed
}

func (s *splitter) end(err error) {
	s.once.Do(func() {
		s.err = err
		close(s.closed)
	})
}

// run accepts connections until the listener is closed.
func (s *splitter) run(secure, plain *side, patience time.Duration) {
	const most = time.Second
	pause := time.Duration(0)
	for {
		conn, err := s.Listener.Accept()
		if err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() || isPassing(err) {
				pause = min(max(2*pause, 5*time.Millisecond), most) // such as too many open files
				select {
				case <-time.After(pause):
					continue
				case <-s.closed:
				}
			}
			s.end(err)
			return
		}
		pause = 0
		go s.look(conn, secure, plain, patience)
	}
}

// isPassing reports whether accepting may succeed later.
func isPassing(err error) bool {
	t, ok := err.(interface{ Temporary() bool })
	return ok && t.Temporary()
}

// look waits for the first byte.
func (s *splitter) look(conn net.Conn, secure, plain *side, patience time.Duration) {
	_ = conn.SetReadDeadline(time.Now().Add(patience)) // a connection that is gone fails below
	r := bufio.NewReaderSize(conn, 16)
	first, err := r.Peek(1)
	if err == nil {
		err = conn.SetReadDeadline(time.Time{})
	}
	if err != nil {
		_ = conn.Close() // nobody is there
		return
	}
	to := plain
	if first[0] == tlsHandshake {
		to = secure
	}
	begun, _ := r.Peek(r.Buffered())
	select {
	case to.conns <- &begunConn{Conn: conn, begun: begun}:
	case <-s.closed:
		_ = conn.Close()
	}
}

// A side is a listener for some of the connections.
type side struct {
	*splitter
	conns chan net.Conn
}

// Accept implements net.Listener.
func (s *side) Accept() (net.Conn, error) {
	select {
	case conn := <-s.conns:
		return conn, nil
	case <-s.closed:
		return nil, s.err
	}
}

// Close implements net.Listener.
func (s *side) Close() error {
	s.end(net.ErrClosed)
	return s.Listener.Close()
}

// A begunConn gives what was read of it already once more.
type begunConn struct {
	net.Conn
	begun []byte
}

// Read implements net.Conn.
func (c *begunConn) Read(p []byte) (int, error) {
	if len(c.begun) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.begun)
	c.begun = c.begun[n:]
	return n, nil
}

// sendToTLS tells those who speak plain HTTP to a port of TLS where to go. Who has shown
// a secret is not sent on silently: it is known to the network by now.
func sendToTLS(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close")
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	if safe && r.Header.Get("Authorization") == "" && r.Header.Get("Cookie") == "" && r.Host != "" && strings.HasPrefix(r.URL.Path, "/") {
		http.Redirect(w, r, "https://"+r.Host+r.URL.RequestURI(), http.StatusTemporaryRedirect)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(api.Error{Kind: api.KindInvalid, Message: fmt.Sprintf("this port speaks HTTPS, and was asked in plain HTTP\nwrite https://%s; if a token was sent, make a new one, as it crossed the network in clear", r.Host)}) // the client's loss
}
