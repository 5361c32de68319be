package server

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/weft-dev/weft"
)

const (
	archiveType    = "application/tar+gzip"
	archiveTrailer = "X-Checksum-Md5"
)

// pinLease is how long a pin lasts that nobody extends.
const pinLease = 10 * time.Minute

// pushArchive receives a tar.gz as knit sends it. Until all of it is recorded, in one
// transaction at the end, only a pin holds what has come.
func (s *Server) pushArchive(w http.ResponseWriter, r *http.Request) error {
	s.answerWhileReading(w)
	v, err := s.receiveArchive(r)
	if err != nil {
		s.answerError(w, r, err)
		s.drain(w, r)
		return nil
	}
	writeJSON(w, http.StatusOK, wireData(v), s.log)
	return nil
}

func (s *Server) receiveArchive(r *http.Request) (weft.DataView, error) {
	var none weft.DataView
	ctx := r.Context()
	tags, err := weft.ParseTags(r.URL.Query()["tag"]...)
	if err != nil {
		return none, err
	}
	if err := (weft.TagChange{Add: tags}).Validate(); err != nil {
		return none, err
	}
	if err := s.Content.Room(0); err != nil {
		return none, err
	}
	pin := "archive-" + infoOf(ctx).id
	until := func() time.Time { return time.Now().Add(pinLease) }
	stop := s.extend(ctx, pin, pinLease/4, until)
	defer stop()
	v, err := s.recordArchive(r, pin, until(), tags)
	if err != nil {
		s.release(context.WithoutCancel(ctx), pin) // of clients that leave, too
	}
	return v, err
}

// recordArchive seals what comes and makes a Data of it, which takes the pin's place.
func (s *Server) recordArchive(r *http.Request, pin string, until time.Time, tags weft.Tags) (weft.DataView, error) {
	var none weft.DataView
	ctx, sum := r.Context(), md5.New()
	tree, err := s.Content.PutArchive(ctx, pin, until, io.TeeReader(r.Body, sum))
	if err != nil {
		return none, err
	}
	got, want := hex.EncodeToString(sum.Sum(nil)), r.Trailer.Get(archiveTrailer)
	if want != "" && !strings.EqualFold(want, got) {
		return none, weft.Errorf(weft.Invalid, "the archive arrived damaged: its MD5 is %s, and %s was sent", got, want).WithAdvice("push it again")
	}
	p := s.push(ctx, tree, tags, pin)
	if p.Key, err = idempotencyKey(r); err != nil {
		return none, err
	}
	return s.Store.PushData(ctx, p)
}

// idempotencyKey reads the header of that name, as the IETF draft
// draft-ietf-httpapi-idempotency-key-header has it, with quotes or without.
func idempotencyKey(r *http.Request) (string, error) {
	const most = 255
	key := strings.Trim(r.Header.Get("Idempotency-Key"), `"`)
	if len(key) > most || strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c > '~' }) {
		return "", weft.Errorf(weft.Invalid, "Idempotency-Key is not a text of at most %d printable characters of ASCII", most)
	}
	return key, nil
}

// push is what to record for an upload whose content is sealed.
func (s *Server) push(ctx context.Context, tree weft.Tree, tags weft.Tags, pin string) weft.Push {
	p := principal(ctx)
	return weft.Push{
		Project: p.Project, By: p.ID, Plan: weft.PlanUploaded,
		Run: weft.NewID[weft.Run](), Data: weft.NewID[weft.Data](),
		Tags: tags, Tree: tree, Pin: pin, At: time.Now(),
	}
}

// release gives a pin up: what it held then lasts only if something else refers to
// it. If that fails, the pin ends with its lease.
func (s *Server) release(ctx context.Context, pin string) {
	if err := s.Store.Release(ctx, pin); err != nil {
		s.log.Warn("pin not released", "pin", pin, "error", err)
	}
}

// answerWhileReading lets the answer go out before the body was read to its end:
// without it, a client that is refused would see a broken connection instead of why.
func (s *Server) answerWhileReading(w http.ResponseWriter) {
	_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 always can, and says so by an error
}

const (
	drainFor  = 5 * time.Second
	drainMost = 1 << 30
)

// drain reads on after a refusal, for a while, so that the answer reaches a client
// that is still sending. One that waits for permission to send will not send.
func (s *Server) drain(w http.ResponseWriter, r *http.Request) {
	watched, ok := r.Body.(*watchedBody)
	if !ok || r.Header.Get("Expect") != "" || http.NewResponseController(w).Flush() != nil {
		return
	}
	watched.end = time.Now().Add(drainFor)
	buf := make([]byte, 64<<10)
	for n := 0; n < drainMost; {
		k, err := watched.Read(buf)
		if err != nil {
			return
		}
		n += k
	}
}

// pullArchive sends a Data as knit reads it, with the MD5 of the body as its trailer.
func (s *Server) pullArchive(w http.ResponseWriter, r *http.Request) error {
	d, err := s.treeOf(r)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", archiveType)
	h.Set("Trailer", archiveTrailer)
	if err := http.NewResponseController(w).Flush(); err != nil { // sends the header, so that the body is chunked
		return err
	}
	sum := md5.New()
	if err := s.Content.WriteArchive(r.Context(), d.Tree, io.MultiWriter(w, sum)); err != nil {
		return err
	}
	h.Set(archiveTrailer, hex.EncodeToString(sum.Sum(nil)))
	return nil
}

// treeOf finds the content of the Data that a request names.
func (s *Server) treeOf(r *http.Request) (weft.Data, error) {
	v, err := s.data(r.Context(), r.PathValue("id"))
	switch {
	case err != nil:
		return v.Data, err
	case !v.Data.Tree.IsZero():
		return v.Data, nil
	case !v.Data.Purged.IsZero():
		return v.Data, weft.Errorf(weft.NotFound, "the content of data %s was purged at %s; its tags and its lineage are left", v.Data.ID, wireTime(v.Data.Purged))
	case v.Data.Transient() == weft.TransientProcessing:
		return v.Data, weft.Errorf(weft.Unavailable, "data %s has no content yet: its run is %s", v.Data.ID, v.Data.Source.Status).
			WithAdvice("wait until the run %s has ended", v.Data.Source.Run)
	}
	return v.Data, weft.Errorf(weft.NotFound, "data %s has no content: its run %s is %s", v.Data.ID, v.Data.Source.Run, v.Data.Source.Status)
}

// manifestOf reads the manifest of the Data that a request names.
func (s *Server) manifestOf(r *http.Request) (weft.Manifest, error) {
	d, err := s.treeOf(r)
	if err != nil {
		return weft.Manifest{}, err
	}
	return s.trees.read(r.Context(), d.Tree)
}
