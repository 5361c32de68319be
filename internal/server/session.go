package server

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/weft-dev/weft"
)

// uploadLife is how long an upload lives of which nothing is heard.
const uploadLife = time.Hour

// uploads are the pushes under way. They are kept in memory only: when the server
// ends, their pins expire, and clients push again.
type uploads struct {
	mu   sync.Mutex
	byID map[string]*upload
}

// An upload is one push under way. It belongs to the principal who began it.
type upload struct {
	id    string
	pin   string
	owner weft.PrincipalID

	mu       sync.Mutex
	expires  time.Time
	extended time.Time             // when the pin's lease was put off last
	granted  map[weft.Digest]int64 // sizes of what it sent, or was told to be there

	commits   sync.Mutex // held while it is being committed
	committed weft.DataID
}

func newUploads() *uploads { return &uploads{byID: make(map[string]*upload)} }

// begin makes an upload, and returns the pins of those that have expired.
func (us *uploads) begin(p weft.Principal, now time.Time) (*upload, []string) {
	us.mu.Lock()
	defer us.mu.Unlock()
	var expired []string
	for id, u := range us.byID {
		if u.expired(now) {
			delete(us.byID, id)
			expired = append(expired, u.pin)
		}
	}
	id := uuid.NewString()
	u := &upload{id: id, pin: "upload-" + id, owner: p.ID, expires: now.Add(uploadLife), extended: now, granted: make(map[weft.Digest]int64)}
	us.byID[id] = u
	return u, expired
}

// find returns an upload of p, and puts its expiry off.
func (us *uploads) find(id string, p weft.Principal) (*upload, error) {
	us.mu.Lock()
	defer us.mu.Unlock()
	u := us.byID[id]
	if u == nil || u.owner != p.ID || u.expired(time.Now()) {
		return nil, weft.Errorf(weft.NotFound, "upload %q is not under way", id).
			WithAdvice("it ended, it stood still for %s, or the server was restarted: push again; what was sent already is found again if it is part of data", uploadLife)
	}
	u.lease()
	return u, nil
}

func (us *uploads) end(id string) {
	us.mu.Lock()
	defer us.mu.Unlock()
	delete(us.byID, id)
}

func (u *upload) expired(now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return now.After(u.expires)
}

// lease puts the expiry off and returns it: until then pins are to last.
func (u *upload) lease() time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.expires = time.Now().Add(uploadLife)
	return u.expires
}

func (u *upload) grant(blobs ...weft.Blob) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, b := range blobs {
		u.granted[b.Digest] = b.Size
	}
}

// has reports whether the upload may use a content of that digest and size.
func (u *upload) has(b weft.Blob) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	size, ok := u.granted[b.Digest]
	return ok && size == b.Size
}

// sent reports whether the upload may use a content of that digest.
func (u *upload) sent(d weft.Digest) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, ok := u.granted[d]
	return ok
}

// due reports, once in a while, that the pin's lease should be put off as well.
func (u *upload) due() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if time.Since(u.extended) < uploadLife/4 {
		return false
	}
	u.extended = time.Now()
	return true
}

// upload finds the upload that a request is about, and keeps it alive.
func (s *Server) upload(ctx context.Context, id string) (*upload, error) {
	u, err := s.uploads.find(id, principal(ctx))
	if err == nil && u.due() {
		err = s.Store.Extend(ctx, u.pin, u.lease())
	}
	return u, err
}

// hold keeps an upload alive until the function that it returns is called: a large
// file or a large manifest may take longer than its lease.
func (s *Server) hold(ctx context.Context, u *upload) (stop func()) {
	return s.extend(ctx, u.pin, uploadLife/4, u.lease)
}

// extend puts off the end of a pin's lease, again and again, until the function that
// it returns is called.
func (s *Server) extend(ctx context.Context, pin string, every time.Duration, until func() time.Time) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if err := s.Store.Extend(ctx, pin, until()); err != nil {
					s.log.Warn("pin not extended", "pin", pin, "error", err)
				}
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// commit makes the Data by record, once, and shows it. Whoever commits again, since
// he did not get the answer, gets the same Data.
func (u *upload) commit(record func() (weft.DataID, error), show func(weft.DataID) (weft.DataView, error)) (weft.DataView, error) {
	u.commits.Lock()
	defer u.commits.Unlock()
	if u.committed.IsZero() {
		id, err := record()
		if err != nil {
			return weft.DataView{}, err
		}
		u.committed = id
		u.mu.Lock()
		u.granted = make(map[weft.Digest]int64) // nothing is pinned any more
		u.mu.Unlock()
	}
	return show(u.committed)
}
