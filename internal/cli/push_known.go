package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// A push of what some data is already, unchanged, needs no more than the digest of its
// manifest. To find that out everything has to be hashed before anything is sent, which
// pays for many small files, as they are then read again from memory.
const (
	knownFiles   = 100     // fewer are asked about one by one as quickly
	knownBytes   = 1 << 30 // more may not stay in memory
	knownSample  = 8       // if one of so many is missing, the whole is not known
	hashTogether = 256
)

// known pushes by its manifest alone what the server has as a whole. It reports whether
// it did.
func (p *pusher) known(ctx context.Context, tags weft.Tags) (d api.DataDetail, done bool, err error) {
	files := p.src.files
	if len(files) < knownFiles || p.src.bytes > knownBytes {
		return d, false, nil
	}
	sample := make([]int, 0, knownSample)
	for i := range knownSample {
		sample = append(sample, files[i*(len(files)-1)/(knownSample-1)])
	}
	if err := p.hash(ctx, sample); err != nil {
		return d, false, err
	}
	var refs []api.BlobRef
	for _, i := range sample {
		refs = append(refs, api.BlobRef{Digest: p.src.entries[i].Digest.String(), Size: p.src.entries[i].Size})
	}
	if missing, err := p.missing(ctx, refs); err != nil || len(missing) > 0 {
		return d, false, err
	}
	if err := p.hashAll(ctx); err != nil {
		return d, false, err
	}
	text := weft.Manifest{Entries: p.src.entries}.Encode()
	digest := weft.Digest(sha256.Sum256(text)).String()
	missing, err := p.missing(ctx, []api.BlobRef{{Digest: digest, Size: int64(len(text))}})
	if err != nil || len(missing) > 0 {
		return d, false, err
	}
	d, err = p.client.CommitUpload(ctx, p.up.ID, digest, wireTags(tags))
	if kindOf(err) == weft.Invalid {
		return d, false, nil // the manifest is there as a file, not as that of a data
	}
	return d, err == nil, err
}

// hashAll fills in the digests of all files, in parallel.
func (p *pusher) hashAll(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(pushWorkers)
	for files := p.src.files; len(files) > 0 && ctx.Err() == nil; {
		n := min(hashTogether, len(files))
		some := files[:n]
		files = files[n:]
		group.Go(func() error { return p.hash(ctx, some) })
	}
	return group.Wait()
}

func (p *pusher) hash(ctx context.Context, files []int) error {
	h := sha256.New()
	buffer := make([]byte, 64<<10)
	for _, i := range files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e := &p.src.entries[i]
		f, err := os.Open(p.src.at(*e))
		if err != nil {
			return vanished(err)
		}
		h.Reset()
		n, err := f.Read(buffer)
		h.Write(buffer[:n])
		if err == nil && (int64(n) != e.Size || n == len(buffer)) { // else it is at its end, as the buffer is not full
			_, err = io.CopyBuffer(h, struct{ io.Reader }{f}, buffer)
		} else if errors.Is(err, io.EOF) {
			err = nil
		}
		f.Close() // it was only read
		if err != nil {
			return fileError(err)
		}
		h.Sum(e.Digest[:0])
	}
	return nil
}
