package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// Files travel in three ways, by size: small ones are read into memory once, hashed,
// and those that the server lacks sent together; middling ones are hashed first and
// then read again if the server lacks them; large ones are sent at once, as reading them
// twice would cost more than sending what is there already, and the server, which has to
// hash them anyway, tells their digests.
const (
	smallFile = 1 << 20
	largeFile = 128 << 20

	pushWorkers = 4

	cancelWithin = 5 * time.Second
)

// A pusher sends the files of a source to an upload of the server.
type pusher struct {
	client *api.Client
	up     api.Upload
	src    *source
	bar    *progress
	large  int64    // size from which on a file is sent at once
	sent   sync.Map // digests that are on their way or there
}

// push sends a source and commits it with tags. Files from the size large on are sent
// at once. When it fails, nothing is kept.
func push(ctx context.Context, client *api.Client, src *source, tags weft.Tags, large int64, bar *progress) (api.DataDetail, error) {
	up, err := client.BeginUpload(ctx)
	if err != nil {
		return api.DataDetail{}, err
	}
	p := &pusher{client: client, up: up, src: src, bar: bar, large: large}
	d, err := p.push(ctx, tags)
	if err != nil {
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelWithin)
		defer stop()
		client.CancelUpload(ctx, up.ID) // if that fails too, the upload expires
	}
	return d, err
}

func (p *pusher) push(ctx context.Context, tags weft.Tags) (api.DataDetail, error) {
	if d, done, err := p.known(ctx, tags); done || err != nil {
		return d, err
	}
	if err := p.files(ctx); err != nil {
		return api.DataDetail{}, err
	}
	m := weft.Manifest{Entries: p.src.entries}
	if err := m.Validate(); err != nil {
		return api.DataDetail{}, err
	}
	text := m.Encode()
	digest := weft.Digest(sha256.Sum256(text))
	if _, err := p.client.SendFile(ctx, p.up.ID, digest.String(), int64(len(text)), bytes.NewReader(text)); err != nil {
		return api.DataDetail{}, err
	}
	return p.client.CommitUpload(ctx, p.up.ID, digest.String(), wireTags(tags))
}

// files sends what the server lacks, in parallel, and fills in the digests.
func (p *pusher) files(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(pushWorkers)
	batch, size := []int(nil), int64(0)
	flush := func() {
		if files := batch; len(files) > 0 {
			group.Go(func() error { return p.small(ctx, files) })
		}
		batch, size = nil, 0
	}
	for _, i := range p.src.files {
		if ctx.Err() != nil {
			break
		}
		switch e := p.src.entries[i]; {
		case e.Size >= p.large:
			group.Go(func() error { return p.stream(ctx, i) })
		case e.Size > smallFile:
			group.Go(func() error { return p.middling(ctx, i) })
		default:
			if len(batch) > 0 && (len(batch) >= p.up.BatchFiles || size+e.Size > p.up.BatchBytes) {
				flush()
			}
			batch, size = append(batch, i), size+e.Size
		}
	}
	flush()
	return group.Wait()
}

// small reads and hashes several files and sends those that are missing in one batch.
func (p *pusher) small(ctx context.Context, files []int) error {
	contents := make([][]byte, len(files))
	refs := make([]api.BlobRef, 0, len(files))
	places := make([]int, 0, len(files))
	for n, i := range files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e := &p.src.entries[i]
		content, err := readSmall(p.src.at(*e), e.Size)
		if err != nil {
			return err
		}
		contents[n], e.Digest = content, sha256.Sum256(content)
		if _, again := p.sent.LoadOrStore(e.Digest, true); again {
			p.bar.add(e.Size)
			continue
		}
		refs, places = append(refs, api.BlobRef{Digest: e.Digest.String(), Size: e.Size}), append(places, n)
	}
	missing, err := p.missingOfMany(ctx, refs)
	if err != nil || len(missing) == 0 {
		p.countRest(files, places, refs, nil)
		return err
	}
	p.countRest(files, places, refs, missing)
	_, err = p.client.SendBatch(ctx, p.up.ID, func(w *api.FrameWriter) error {
		for _, m := range missing {
			e, content := p.src.entries[files[places[m]]], contents[places[m]]
			if err := w.File(e.Digest, e.Size, p.bar.reader(bytes.NewReader(content))); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// countRest moves the bar by what need not be sent.
func (p *pusher) countRest(files, places []int, refs []api.BlobRef, missing []int) {
	rest := int64(0)
	for _, ref := range refs {
		rest += ref.Size
	}
	for _, m := range missing {
		rest -= p.src.entries[files[places[m]]].Size
	}
	p.bar.add(rest)
}

// missingOfMany asks about a few of many contents first. If the server lacks all of
// those it hardly has any, and to send these costs less than to ask about each.
func (p *pusher) missingOfMany(ctx context.Context, refs []api.BlobRef) ([]int, error) {
	const many, share = 1024, 16
	if len(refs) < many {
		return p.missing(ctx, refs)
	}
	var some []api.BlobRef
	for i := 0; i < len(refs); i += share {
		some = append(some, refs[i])
	}
	missing, err := p.missing(ctx, some)
	if err != nil {
		return nil, err
	}
	if len(missing) < len(some) {
		return p.missing(ctx, refs)
	}
	all := make([]int, len(refs))
	for i := range all {
		all[i] = i
	}
	return all, nil
}

// missing asks which contents the server lacks, checking what it answers.
func (p *pusher) missing(ctx context.Context, refs []api.BlobRef) ([]int, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	m, err := p.client.MissingBlobs(ctx, p.up.ID, refs)
	if err != nil {
		return nil, err
	}
	for _, i := range m.Missing {
		if i < 0 || i >= len(refs) {
			return nil, errors.New("the server lacks a file that it was not asked about")
		}
	}
	return m.Missing, nil
}

// readSmall reads a file whose size was seen before.
func readSmall(path string, size int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, vanished(err)
	}
	defer f.Close()
	content := make([]byte, size+1) // one more, to see whether it has grown
	n, err := f.Read(content)
	if err == nil && int64(n) != size { // else it is at its end, as the buffer is not full
		var more int
		more, err = io.ReadFull(f, content[n:])
		n += more
	} else if err == nil {
		err = io.EOF
	}
	switch {
	case err == nil:
		return nil, changed(path, "grew")
	case int64(n) < size && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)):
		return nil, changed(path, "shrank")
	case !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF):
		return nil, fileError(err)
	}
	return content[:size], nil
}

// middling hashes a file, and sends it if the server lacks it.
func (p *pusher) middling(ctx context.Context, i int) error {
	e := &p.src.entries[i]
	f, err := os.Open(p.src.at(*e))
	if err != nil {
		return vanished(err)
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(contextReader{ctx, f}, e.Size+1))
	if err != nil {
		return fileError(err)
	}
	if n != e.Size {
		return changed(f.Name(), "changed")
	}
	e.Digest = weft.Digest(h.Sum(nil))
	if _, again := p.sent.LoadOrStore(e.Digest, true); again {
		p.bar.add(e.Size)
		return nil
	}
	missing, err := p.missing(ctx, []api.BlobRef{{Digest: e.Digest.String(), Size: e.Size}})
	if err != nil || len(missing) == 0 {
		p.bar.add(e.Size)
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fileError(err)
	}
	content := newHashing(ctx, f, e.Size, sha256.New())
	defer content.close()
	_, err = p.client.SendFile(ctx, p.up.ID, e.Digest.String(), e.Size, p.bar.reader(content))
	if content.ended() && weft.Digest(content.hash.Sum(nil)) != e.Digest {
		return changed(f.Name(), "changed")
	}
	return content.failure(err)
}

// stream sends a file whose digest the server tells, and compares a checksum.
func (p *pusher) stream(ctx context.Context, i int) error {
	e := &p.src.entries[i]
	f, err := os.Open(p.src.at(*e))
	if err != nil {
		return vanished(err)
	}
	defer f.Close()
	content := newHashing(ctx, f, e.Size, api.NewChecksum())
	defer content.close()
	ref, err := p.client.SendFile(ctx, p.up.ID, "", e.Size, p.bar.reader(content))
	if err != nil {
		return content.failure(err)
	}
	if !content.ended() || ref.Size != e.Size || ref.Checksum != api.ChecksumText(content.hash) {
		return weft.Errorf(weft.Unavailable, "%s arrived damaged at the server", f.Name()).WithAdvice("push again")
	}
	e.Digest, err = weft.ParseDigest(ref.Digest)
	return err
}

// contextReader stops reading when its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}
