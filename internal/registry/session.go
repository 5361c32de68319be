package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/weft-dev/weft"
)

const (
	uploadIdle = time.Hour      // an upload of which nothing is heard for so long is forgotten
	uploadLife = 24 * time.Hour // and so is one that goes on for so long
	maxUploads = 1000           // at once
)

var errAbandoned = errors.New("the upload was abandoned")

// uploads are the sessions of blobs that arrive. They live in this process: a client
// whose session is gone begins again, which the protocol provides for.
type uploads struct {
	mu   sync.Mutex
	byID map[string]*upload
}

func newUploads() *uploads { return &uploads{byID: make(map[string]*upload)} }

// An upload is a blob that arrives by chunks, of any number of requests. What comes
// goes straight on to the content store through a pipe, so that it is hashed and
// written meanwhile. Only the request that took the upload may touch it.
type upload struct {
	id      string
	project weft.ProjectID
	repo    string
	free    chan struct{} // holds one token while nobody has taken the upload

	pin     string
	pipe    *io.PipeWriter // nil until something has come
	size    int64
	failed  error // why the store took no more
	gone    bool  // finished, cancelled or expired
	began   time.Time
	touched time.Time

	stored chan struct{} // closed when the content store is done with it
	blob   weft.Blob     // what it has made of it
	err    error
}

func newUpload(project weft.ProjectID, repo string) *upload {
	now := time.Now()
	return &upload{
		id: uuid.NewString(), project: project, repo: repo, free: make(chan struct{}, 1),
		pin: newPin(), began: now, touched: now, stored: make(chan struct{}),
	}
}

// begin opens the way to the content store, which costs memory. It ends with drop, not
// with ctx, which is that of one request only.
func (u *upload) begin(ctx context.Context, content Content) {
	if u.pipe != nil {
		return
	}
	r, w := io.Pipe()
	u.pipe = w
	go func() {
		defer close(u.stored)
		u.blob, u.err = content.Put(context.WithoutCancel(ctx), u.pin, u.began.Add(uploadLife+pinLife), weft.Digest{}, -1, r)
		r.CloseWithError(u.err)
	}()
}

// add makes the upload findable.
func (us *uploads) add(u *upload) error {
	us.mu.Lock()
	defer us.mu.Unlock()
	if len(us.byID) >= maxUploads {
		return fail(http.StatusTooManyRequests, tooManyRequests, "too many uploads are under way; try again later")
	}
	us.byID[u.id] = u
	u.free <- struct{}{}
	return nil
}

// find returns an upload, but only to the project and repository that it is for.
func (us *uploads) find(project weft.ProjectID, repo, id string) *upload {
	us.mu.Lock()
	defer us.mu.Unlock()
	if u := us.byID[id]; u != nil && u.project == project && u.repo == repo {
		return u
	}
	return nil
}

// drop forgets an upload that the caller has taken.
func (us *uploads) drop(u *upload) {
	us.mu.Lock()
	delete(us.byID, u.id)
	us.mu.Unlock()
	u.gone = true
	u.abandon()
}

// expire drops the uploads that nobody has taken and that are over their time.
func (us *uploads) expire(over func(*upload) bool) []*upload {
	us.mu.Lock()
	all := make([]*upload, 0, len(us.byID))
	for _, u := range us.byID {
		all = append(all, u)
	}
	us.mu.Unlock()
	var dropped []*upload
	for _, u := range all {
		select {
		case <-u.free:
			if !u.gone && over(u) {
				us.drop(u)
				dropped = append(dropped, u)
			}
			u.give()
		default: // a request is at work with it
		}
	}
	return dropped
}

// take waits until no other request has the upload, such as one whose client has
// vanished and come back.
func (u *upload) take(ctx context.Context) error {
	select {
	case <-u.free:
	case <-ctx.Done():
		return ctx.Err()
	}
	if u.gone {
		u.give()
		return fail(http.StatusNotFound, blobUploadUnknown, "no such upload; it was finished or cancelled")
	}
	u.touched = time.Now()
	return nil
}

func (u *upload) give() {
	u.touched = time.Now()
	u.free <- struct{}{}
}

// Write hands bytes on to the content store, after begin.
func (u *upload) Write(p []byte) (int, error) {
	n, err := u.pipe.Write(p)
	u.size += int64(n)
	u.failed = err
	return n, err
}

// finish ends the stream, after begin, and waits until the bytes are safely stored, and pinned.
func (u *upload) finish() (weft.Blob, error) {
	u.pipe.Close()
	<-u.stored
	return u.blob, u.err
}

// abandon makes the content store throw away what it has got, unless it has been
// finished, and waits until it has.
func (u *upload) abandon() {
	if u.pipe != nil {
		u.pipe.CloseWithError(errAbandoned)
		<-u.stored
	}
}
