package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weft-dev/weft"
)

// copyBuffer is how much of a body is handed on at once.
const copyBuffer = 256 << 10

// startUpload answers POST: it mounts, takes a whole blob, or opens a session.
func (c *call) startUpload() error {
	q := c.r.URL.Query()
	if mount := q.Get("mount"); mount != "" {
		n, err := parseDigest(mount)
		if err != nil {
			return err
		}
		if done, err := c.mountBlob(q.Get("from"), n); err != nil {
			return err
		} else if done {
			return c.answerBlob(n)
		}
	}
	if q.Has("digest") {
		return c.takeWhole()
	}
	u := newUpload(c.project, c.repo)
	if err := c.uploads.add(u); err != nil {
		return err
	}
	return c.answerUpload(u, http.StatusAccepted)
}

// takeWhole makes the body a blob.
func (c *call) takeWhole() error {
	want, err := parseDigest(c.r.URL.Query().Get("digest"))
	if err != nil {
		return err
	}
	err = pinned(c.ctx, c.catalog, func(pin string, until time.Time) error {
		in := &source{r: body(c.w, c.r)}
		got, err := c.content.Put(c.ctx, pin, until, want.digest, c.r.ContentLength, in)
		if err != nil {
			return in.blame(err)
		}
		if err := c.check(c.ctx, want, got, pin); err != nil {
			return err
		}
		return c.catalog.LinkBlob(c.ctx, c.project, c.repo, got.Digest, pin)
	})
	if err != nil {
		return err
	}
	return c.answerBlob(want)
}

// upload finds the session that the path names, and takes it for this request.
func (c *call) upload() (*upload, error) {
	u := c.uploads.find(c.project, c.repo, c.ref)
	if u == nil {
		return nil, fail(http.StatusNotFound, blobUploadUnknown, "no such upload; it was finished, cancelled, or left alone for too long")
	}
	return u, u.take(c.ctx)
}

// uploadStatus tells how much has arrived, so that the client can resume.
func (c *call) uploadStatus() error {
	u, err := c.upload()
	if err != nil {
		return err
	}
	defer u.give()
	return c.answerUpload(u, http.StatusNoContent)
}

// patchUpload appends a chunk. What arrived of a chunk that breaks off is kept.
func (c *call) patchUpload() error {
	u, err := c.upload()
	if err != nil {
		return err
	}
	defer u.give()
	if err := c.appendBody(u); err != nil {
		return err
	}
	return c.answerUpload(u, http.StatusAccepted)
}

// finishUpload appends the last chunk, if any, and makes the whole a blob.
func (c *call) finishUpload() error {
	u, err := c.upload()
	if err != nil {
		return err
	}
	defer u.give()
	return c.finish(u)
}

// cancelUpload throws away what has arrived.
func (c *call) cancelUpload() error {
	u, err := c.upload()
	if err != nil {
		return err
	}
	defer u.give()
	c.drop(u)
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (c *call) finish(u *upload) error {
	want, err := parseDigest(c.r.URL.Query().Get("digest"))
	if err != nil {
		return err
	}
	if err := c.appendBody(u); err != nil {
		return err
	}
	defer c.drop(u)
	got, err := u.finish()
	if err != nil {
		return fmt.Errorf("keep blob: %w", err)
	}
	if err := c.check(c.ctx, want, got, u.pin); err != nil {
		return err
	}
	if err := c.catalog.LinkBlob(c.ctx, c.project, c.repo, got.Digest, u.pin); err != nil {
		return err
	}
	return c.answerBlob(want)
}

// drop ends a session and releases its pin.
func (c *call) drop(u *upload) {
	c.uploads.drop(u)
	c.release(c.ctx, u)
}

// release gives up an upload's pin, which would expire in any case.
func (h *Handler) release(ctx context.Context, u *upload) {
	if err := h.catalog.Release(context.WithoutCancel(ctx), u.pin); err != nil {
		h.log.WarnContext(ctx, "release pin of upload", "err", err)
	}
}

// appendBody adds the body of the request to the upload.
func (c *call) appendBody(u *upload) error {
	length, err := chunkLength(c.r, u.size)
	if err != nil {
		c.describeUpload(u)
		return err
	}
	u.begin(c.ctx, c.content)
	n, err := io.CopyBuffer(u, body(c.w, c.r), make([]byte, copyBuffer))
	switch {
	case u.failed != nil:
		c.drop(u)
		return fmt.Errorf("keep chunk: %w", u.failed)
	case err != nil:
		return fail(http.StatusBadRequest, blobUploadInvalid, "the body broke off")
	case length >= 0 && n != length:
		c.drop(u)
		return fail(http.StatusBadRequest, sizeInvalid, fmt.Sprintf("the chunk has %d bytes, its Content-Range says %d", n, length))
	}
	return nil
}

// chunkLength checks the Content-Range of a chunk, which must begin where the last
// one ended. It returns -1 when there is none: then the body is simply appended.
func chunkLength(r *http.Request, size int64) (int64, error) {
	text := r.Header.Get("Content-Range")
	if text == "" {
		return -1, nil
	}
	first, last, ok := strings.Cut(strings.TrimPrefix(text, "bytes "), "-")
	last, _, _ = strings.Cut(last, "/")
	start, err1 := strconv.ParseInt(first, 10, 64)
	end, err2 := strconv.ParseInt(last, 10, 64)
	if !ok || err1 != nil || err2 != nil || start < 0 || end < start {
		return 0, fail(http.StatusRequestedRangeNotSatisfiable, blobUploadInvalid, "the Content-Range of a chunk is written as first-last")
	}
	if start != size {
		return 0, fail(http.StatusRequestedRangeNotSatisfiable, blobUploadInvalid, fmt.Sprintf("the chunk begins at %d, but the next byte is %d", start, size))
	}
	return end - start + 1, nil
}

// describeUpload sets the headers that tell where an upload goes on.
func (c *call) describeUpload(u *upload) {
	head := c.w.Header()
	head.Set("Location", "/v2/"+u.repo+"/blobs/uploads/"+u.id)
	head.Set("Range", fmt.Sprintf("0-%d", max(u.size-1, 0)))
	head.Set("Docker-Upload-Uuid", u.id)
}

func (c *call) answerUpload(u *upload, status int) error {
	c.describeUpload(u)
	c.w.Header().Set("Content-Length", "0")
	if status == http.StatusNoContent {
		c.w.Header().Del("Content-Length")
	}
	c.w.WriteHeader(status)
	return nil
}

func (c *call) answerBlob(n called) error {
	head := c.w.Header()
	head.Set("Location", "/v2/"+c.repo+"/blobs/"+n.String())
	head.Set(digestHeader, n.String())
	head.Set("Content-Length", "0")
	c.w.WriteHeader(http.StatusCreated)
	return nil
}

// idle is how long a client may send nothing within a body.
const idle = time.Minute

// body returns the request's body with a time limit for each read, as uploads may
// take hours but must not hang for ever.
func body(w http.ResponseWriter, r *http.Request) io.Reader {
	return &patientReader{r: r.Body, limit: http.NewResponseController(w)}
}

type patientReader struct {
	r     io.Reader
	limit *http.ResponseController
	until time.Time
}

func (p *patientReader) Read(b []byte) (int, error) {
	if now := time.Now(); p.until.Sub(now) < idle/2 {
		p.until = now.Add(idle)
		p.set(p.until)
	}
	n, err := p.r.Read(b)
	if errors.Is(err, io.EOF) {
		// The server goes on reading, to notice when the client leaves: it must not
		// take a slow disk for that. After a body that stalled the limit stays: else the
		// server would wait for the rest of it before it answers.
		p.set(time.Time{})
	}
	return n, err
}

// set has no effect where time limits are not supported, as in tests without a server.
func (p *patientReader) set(t time.Time) { _ = p.limit.SetReadDeadline(t) }

// A source remembers why reading ended, to tell a client's failure from the store's.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// blame turns the store's error into the answer to the client.
func (s *source) blame(err error) error {
	switch {
	case s.err != nil:
		return fail(http.StatusBadRequest, blobUploadInvalid, "the body broke off")
	case weft.KindOf(err) == weft.Invalid:
		return fail(http.StatusBadRequest, digestInvalid, err.Error())
	}
	return fmt.Errorf("keep blob: %w", err)
}
