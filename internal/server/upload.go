package server

import (
	"context"
	"errors"
	"hash"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// What a client should put into one batch. Each is some transactions, which rewrite much
// of the index of all blobs, so small ones would write more of the database than of files.
const (
	batchBytes = 16 << 20
	batchFiles = 4096
)

const maxManifest = 1 << 30 // bytes of its text

// uploadRoutes declares Weft's own protocol for pushing: begin, ask what is missing,
// send that, commit.
func (s *Server) uploadRoutes() {
	create := func(method, path, id, summary string) route {
		return route{method: method, path: path, id: id, summary: summary, verb: weft.Create, kind: "data", part: id != "commit-upload"}
	}
	handle(s, create(http.MethodPost, "/api/uploads", "begin-upload", "Begin a push"), s.beginUpload)
	s.stream(streamed{
		route: create(http.MethodPost, "/api/uploads/{id}/missing", "missing-blobs", "Ask which contents have to be sent"),
		takes: "application/json", takesA: reflect.TypeFor[api.MissingRequest](), gives: "application/json", givesA: reflect.TypeFor[api.Missing](),
	}, s.missingBlobs)
	s.stream(streamed{
		route: create(http.MethodPost, "/api/uploads/{id}/files", "send-batch", "Send the contents of several files"),
		takes: api.FrameType, gives: "application/json", givesA: reflect.TypeFor[api.Received](),
	}, s.whileReading(s.receiveBatch))
	file := create(http.MethodPut, "/api/uploads/{id}/files/{digest}", "send-file", "Send one content")
	file.more = "The digest may be -, if it is not known beforehand. The header X-Content-Size, or else Content-Length, announces the size."
	s.stream(streamed{
		route: file, takes: "application/octet-stream", gives: "application/json", givesA: reflect.TypeFor[api.BlobRef](),
	}, s.whileReading(s.receiveFile))
	handle(s, create(http.MethodPost, "/api/uploads/{id}/commit", "commit-upload", "End a push: the data is there"), s.commitUpload)
	handle(s, create(http.MethodDelete, "/api/uploads/{id}", "cancel-upload", "Give a push up"), s.cancelUpload)
}

// whileReading makes a handler that may answer before it has read all of the body.
func (s *Server) whileReading(act func(*http.Request, *upload) (any, error)) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		s.answerWhileReading(w)
		u, err := s.upload(r.Context(), r.PathValue("id"))
		var out any
		if err == nil {
			out, err = act(r, u)
		}
		if err != nil {
			s.answerError(w, r, err)
			s.drain(w, r)
			return nil
		}
		writeJSON(w, http.StatusOK, out, s.log)
		return nil
	}
}

func (s *Server) beginUpload(ctx context.Context, _ *struct{}) (*body[api.Upload], error) {
	if err := s.Content.Room(0); err != nil {
		return nil, err
	}
	u, expired := s.uploads.begin(principal(ctx), time.Now())
	for _, pin := range expired {
		s.release(ctx, pin)
	}
	return answer(api.Upload{ID: u.id, ExpiresAt: wireTime(u.lease()), BatchBytes: batchBytes, BatchFiles: batchFiles}, nil)
}

// missingBlobs answers from what the principal may read anyway, and from what was
// sent in this upload. Everything else has to be sent, whether it is there or not.
func (s *Server) missingBlobs(w http.ResponseWriter, r *http.Request) error {
	u, err := s.upload(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	var in api.MissingRequest
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	blobs, err := domainBlobs(in.Blobs)
	if err != nil {
		return err
	}
	missing, err := s.missing(r.Context(), u, blobs)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, api.Missing{Missing: missing}, s.log)
	return nil
}

// missing returns the indices of what has to be sent, and pins the rest.
func (s *Server) missing(ctx context.Context, u *upload, blobs []weft.Blob) ([]int, error) {
	digests := make([]weft.Digest, len(blobs))
	for i, b := range blobs {
		digests[i] = b.Digest
	}
	readable, err := s.Store.Readable(ctx, principal(ctx).Project, digests)
	if err != nil {
		return nil, err
	}
	missing := []int{}
	var here []weft.Blob
	var at []int
	for i, b := range blobs {
		switch {
		case u.has(b):
		case readable[i]:
			here, at = append(here, b), append(at, i)
		default:
			missing = append(missing, i)
		}
	}
	if len(here) == 0 {
		return missing, nil
	}
	states, err := s.Store.Reserve(ctx, u.pin, u.lease(), here)
	if err != nil {
		return nil, err
	}
	var pinned []weft.Blob
	for i, state := range states {
		if state == weft.BlobPresent {
			pinned = append(pinned, here[i])
		} else {
			missing = append(missing, at[i])
		}
	}
	u.grant(pinned...)
	slices.Sort(missing)
	return missing, nil
}

func (s *Server) receiveBatch(r *http.Request, u *upload) (any, error) {
	frames := api.NewFrameReader(r.Body)
	blobs, err := s.Content.PutBatch(r.Context(), u.pin, u.lease(), func() ([32]byte, int64, io.Reader, error) {
		digest, size, content, err := frames.Next()
		return digest, size, frameContent{content}, explainFrame(err)
	})
	if err != nil {
		return nil, err
	}
	u.grant(blobs...)
	got := api.Received{Files: int64(len(blobs))}
	for _, b := range blobs {
		got.Bytes += b.Size
	}
	return got, nil
}

// frameContent reads the content of a frame.
type frameContent struct{ io.Reader }

func (c frameContent) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	return n, explainFrame(err)
}

// explainFrame makes an error in the framing the client's own.
func explainFrame(err error) error {
	if err == nil || errors.Is(err, io.EOF) || weft.KindOf(err) != weft.Internal {
		return err
	}
	return weft.Errorf(weft.Invalid, "the batch is not whole: %w", err).WithAdvice("send it again")
}

func (s *Server) receiveFile(r *http.Request, u *upload) (any, error) {
	var want weft.Digest
	if text := r.PathValue("digest"); text != "-" {
		var err error
		if want, err = weft.ParseDigest(text); err != nil {
			return nil, err
		}
	}
	size := r.ContentLength
	if text := r.Header.Get("X-Content-Size"); text != "" {
		var err error
		if size, err = strconv.ParseInt(text, 10, 64); err != nil || size < 0 {
			return nil, weft.Errorf(weft.Invalid, "the header X-Content-Size is not a size")
		}
	}
	body, sum := io.Reader(r.Body), hash.Hash(nil)
	if want.IsZero() { // else the digest says whether it arrived as it was sent
		sum = api.NewChecksum()
		body = io.TeeReader(body, sum)
	}
	stop := s.hold(r.Context(), u)
	blob, err := s.Content.Put(r.Context(), u.pin, u.lease(), want, size, body)
	stop()
	if err != nil {
		return nil, err
	}
	u.grant(blob)
	ref := api.BlobRef{Digest: blob.Digest.String(), Size: blob.Size}
	if sum != nil {
		ref.Checksum = api.ChecksumText(sum)
	}
	return ref, nil
}

type UploadPath struct {
	ID string `path:"id"`
}

type commitInput struct {
	UploadPath
	Body api.Commit
}

// commitUpload makes the Data. A client that did not get the answer may ask again.
func (s *Server) commitUpload(ctx context.Context, in *commitInput) (*body[api.DataDetail], error) {
	u, err := s.upload(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	change, err := domainTagChange(api.TagChange{Add: in.Body.Tags}) // refuses system tags
	if err != nil {
		return nil, err
	}
	digest, err := weft.ParseDigest(in.Body.Manifest)
	if err != nil {
		return nil, err
	}
	v, err := u.commit(func() (weft.DataID, error) {
		return s.record(ctx, u, digest, change.Add)
	}, func(id weft.DataID) (weft.DataView, error) {
		return s.Store.Data(ctx, principal(ctx).Project, id)
	})
	if err != nil {
		return nil, err
	}
	return answer(wireData(v), nil)
}

// record seals an upload and makes its Data. The manifest may name only contents that
// this upload has sent, or was told to be there, unless some Data has the very same: to
// know a digest is not a right.
func (s *Server) record(ctx context.Context, u *upload, digest weft.Digest, tags weft.Tags) (weft.DataID, error) {
	stop := s.hold(ctx, u)
	defer stop()
	m, err := s.sentManifest(ctx, u, digest)
	if err != nil {
		return weft.DataID{}, err
	}
	if err := s.mayRecord(ctx, u, digest, m); err != nil {
		return weft.DataID{}, err
	}
	tree, err := s.Content.PutManifest(ctx, u.pin, u.lease(), m)
	if err != nil {
		return weft.DataID{}, err
	}
	v, err := s.Store.PushData(ctx, s.push(ctx, tree, tags, u.pin)) // releases the pin
	return v.Data.ID, err
}

// mayRecord refuses a manifest with a content that the principal has not shown to have:
// by having it sent, or by there being a Data with exactly this manifest.
func (s *Server) mayRecord(ctx context.Context, u *upload, digest weft.Digest, m weft.Manifest) error {
	if known, err := s.Store.HasTree(ctx, principal(ctx).Project, digest); known || err != nil {
		return err
	}
	for _, e := range m.Entries {
		if e.Kind == weft.File && !u.has(weft.Blob{Digest: e.Digest, Size: e.Size}) {
			return weft.Errorf(weft.Invalid, "the content of %q was not sent with %d bytes in this upload", e.Path, e.Size).
				WithAdvice("ask which contents are missing, send those, and commit again")
		}
	}
	return nil
}

func (s *Server) sentManifest(ctx context.Context, u *upload, digest weft.Digest) (weft.Manifest, error) {
	if !u.sent(digest) {
		return weft.Manifest{}, weft.Errorf(weft.Invalid, "the manifest %s was not sent in this upload", digest).WithAdvice("send it as a file, then commit")
	}
	f, size, err := s.Content.OpenBlob(ctx, digest)
	if err != nil {
		return weft.Manifest{}, err
	}
	defer f.Close()
	if size > maxManifest {
		return weft.Manifest{}, weft.Errorf(weft.TooLarge, "the manifest has more than %d bytes", maxManifest)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(f, text); err != nil {
		return weft.Manifest{}, err
	}
	return weft.DecodeManifest(text)
}

func (s *Server) cancelUpload(ctx context.Context, in *UploadPath) (*struct{}, error) {
	u, err := s.upload(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	s.uploads.end(u.id)
	s.release(ctx, u.pin)
	return nil, nil
}
