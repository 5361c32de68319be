package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

const (
	pullWorkers    = 4
	pullBatchFiles = 2000
	pullBatchBytes = 8 << 20
	pullAhead      = 64 // chunks

	// maxManifest bounds what is read of a manifest: some ten million files.
	maxManifest = 2 << 30
)

// A puller writes the files of a data below a directory, and nowhere else: os.Root
// refuses every way out, whatever the server says.
type puller struct {
	client *api.Client
	id     string
	root   *os.Root
	bar    *progress
}

// pullFiles fetches a data into a directory. A new one appears only when it is whole;
// until then its files are kept beside it for the next try.
func pullFiles(ctx context.Context, client *api.Client, id, target string, bar *progress) error {
	m, err := fetchManifest(ctx, client, id)
	if err != nil {
		return err
	}
	_, size := m.Totals()
	bar.total(size)
	info, err := os.Lstat(target)
	switch {
	case err == nil && !info.IsDir():
		return weft.Errorf(weft.Conflict, "%s exists and is not a directory", target).WithAdvice("remove it, or pull to another place")
	case err == nil:
		return pullInto(ctx, client, id, target, m, bar)
	case !errors.Is(err, fs.ErrNotExist):
		return fileError(err)
	}
	part := target + partSuffix
	if err := os.Mkdir(part, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return fileError(err)
	}
	if err := pullInto(ctx, client, id, part, m, bar); err != nil {
		return fmt.Errorf("%w; what has arrived is in %s, and the same command goes on from there", err, part)
	}
	return fileError(os.Rename(part, target))
}

// fetchManifest returns what a data consists of, checked.
func fetchManifest(ctx context.Context, client *api.Client, id string) (weft.Manifest, error) {
	d, err := client.Data(ctx, id)
	if err != nil {
		return weft.Manifest{}, err
	}
	r, err := client.Manifest(ctx, id)
	if err != nil {
		return weft.Manifest{}, err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxManifest))
	if err != nil {
		return weft.Manifest{}, err
	}
	if digest := weft.Digest(sha256.Sum256(text)); d.Digest != "" && digest.String() != d.Digest {
		return weft.Manifest{}, damaged("the list of files")
	}
	return weft.DecodeManifest(text)
}

func damaged(what string) error {
	return weft.Errorf(weft.Unavailable, "%s arrived damaged: its digest differs", what).
		WithAdvice("pull again; if it happens again, have the data checked with: weft data verify")
}

func pullInto(ctx context.Context, client *api.Client, id, dir string, m weft.Manifest, bar *progress) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fileError(err)
	}
	defer root.Close()
	p := &puller{client: client, id: id, root: root, bar: bar}
	if err := p.folders(m); err != nil {
		return err
	}
	if err := p.files(ctx, m); err != nil {
		return err
	}
	if err := p.links(m); err != nil {
		return err
	}
	return p.folderModes(m)
}

// folders makes the directories so that they can be written to, and those that only
// the paths of files tell of.
func (p *puller) folders(m weft.Manifest) error {
	last := ""
	for _, e := range m.Entries {
		dir := path.Dir(e.Path)
		if e.Kind == weft.Folder {
			dir = e.Path
		}
		if dir == last || dir == "." {
			continue
		}
		last = dir
		if err := p.root.MkdirAll(filepath.FromSlash(dir), 0o777); err != nil {
			return inTheWay(dir, err)
		}
		info, err := p.root.Lstat(filepath.FromSlash(dir))
		if err != nil {
			return fileError(err)
		}
		if !info.IsDir() {
			return inTheWay(dir, fs.ErrExist)
		}
		if info.Mode().Perm()&0o700 != 0o700 { // left so by an earlier pull
			if err := p.root.Chmod(filepath.FromSlash(dir), 0o700); err != nil {
				return fileError(err)
			}
		}
	}
	return nil
}

func inTheWay(name string, err error) error {
	return weft.Errorf(weft.Conflict, "%s cannot be written: %w", printable(name), err).WithAdvice("remove what is in the way, or pull to another place")
}

// files fetches all regular files, in parallel: small ones together, large ones each
// alone. Those that are there already, from a pull that broke off, are left.
func (p *puller) files(ctx context.Context, m weft.Manifest) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(pullWorkers)
	var batch []weft.Entry
	size := int64(0)
	flush := func() {
		if entries := batch; len(entries) > 0 {
			group.Go(func() error { return p.batch(ctx, entries) })
		}
		batch, size = nil, 0
	}
	for _, e := range m.Entries {
		if e.Kind != weft.File || ctx.Err() != nil {
			continue
		}
		if e.Size > smallFile {
			group.Go(func() error { return p.single(ctx, e) })
			continue
		}
		if len(batch) >= pullBatchFiles || size+e.Size > pullBatchBytes {
			flush()
		}
		batch, size = append(batch, e), size+e.Size
	}
	flush()
	return group.Wait()
}

// there reports whether a file is there already as it should be.
func (p *puller) there(e weft.Entry) (bool, error) {
	name := filepath.FromSlash(e.Path)
	info, err := p.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fileError(err)
	case !info.Mode().IsRegular():
		return false, inTheWay(e.Path, errors.New("there is something that is not a file"))
	case info.Size() != e.Size:
		return false, nil
	}
	f, err := p.root.Open(name)
	if err != nil {
		return false, nil // it will be replaced
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil || weft.Digest(h.Sum(nil)) != e.Digest {
		return false, nil
	}
	return true, p.root.Chmod(name, fs.FileMode(e.Mode))
}

// batch fetches several files in one stream.
func (p *puller) batch(ctx context.Context, entries []weft.Entry) error {
	wanted, digests, err := p.lacking(entries)
	if err != nil || len(digests) == 0 {
		return err
	}
	stream, err := p.client.Batch(ctx, p.id, digests)
	if err != nil {
		return err
	}
	defer stream.Close()
	for {
		_, size, r, err := stream.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if size > smallFile {
			return damaged("a batch of files")
		}
		content := make([]byte, size)
		if _, err := io.ReadFull(r, content); err != nil {
			return err
		}
		digest := weft.Digest(sha256.Sum256(content)) // what it is, not what the frame says
		for _, e := range wanted[digest] {
			if err := p.write(e, bytes.NewReader(content)); err != nil {
				return err
			}
			p.bar.add(e.Size)
		}
		delete(wanted, digest)
	}
	for _, es := range wanted {
		return damaged(printable(es[0].Path))
	}
	return nil
}

// lacking returns the files that are not there yet, by digest.
func (p *puller) lacking(entries []weft.Entry) (wanted map[weft.Digest][]weft.Entry, digests []string, err error) {
	wanted = map[weft.Digest][]weft.Entry{}
	for _, e := range entries {
		ok, err := p.there(e)
		if err != nil {
			return nil, nil, err
		}
		if ok {
			p.bar.add(e.Size)
			continue
		}
		if len(wanted[e.Digest]) == 0 {
			digests = append(digests, e.Digest.String())
		}
		wanted[e.Digest] = append(wanted[e.Digest], e)
	}
	return wanted, digests, nil
}

// single fetches one file in a stream of its own.
func (p *puller) single(ctx context.Context, e weft.Entry) error {
	ok, err := p.there(e)
	if err != nil || ok {
		p.bar.add(e.Size)
		return err
	}
	r, err := p.client.Blob(ctx, p.id, e.Digest.String(), 0)
	if err != nil {
		return err
	}
	defer r.Close()
	return p.write(e, p.bar.reader(r))
}

// write writes a file beside its place, checks it and moves it there.
func (p *puller) write(e weft.Entry, content io.Reader) error {
	name := filepath.FromSlash(e.Path)
	part := partName(name)
	if err := p.root.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return inTheWay(part, err)
	}
	f, err := p.root.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return inTheWay(e.Path, err)
	}
	err = copyChecked(f, content, e)
	if err == nil {
		err = f.Chmod(fs.FileMode(e.Mode))
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = p.root.Rename(part, name)
	}
	if err != nil {
		return errors.Join(err, p.root.Remove(part))
	}
	return nil
}

// partName is where a file is written before it is whole: in the same directory, and the
// same at the next try, under a name that fits where that of the file does.
func partName(name string) string {
	return filepath.Join(filepath.Dir(name), fmt.Sprintf(".weft-part-%x", sha256.Sum256([]byte(name)))[:24])
}

// copyChecked writes what must have the digest of e. Large content is hashed while the
// next is being read.
func copyChecked(w *os.File, r io.Reader, e weft.Entry) error {
	h := sha256.New()
	r = io.LimitReader(r, e.Size+1)
	var n int64
	var err error
	if e.Size > smallFile {
		n, err = copyHashing(w, h, r)
	} else {
		n, err = io.Copy(io.MultiWriter(w, h), r)
	}
	switch {
	case err != nil:
		return err
	case n != e.Size || weft.Digest(h.Sum(nil)) != e.Digest:
		return damaged(printable(e.Path))
	}
	return nil
}

// copyHashing copies r to w and to the hash. Receiving, hashing and writing go on at the
// same time, so that the server's disk reads while this one's writes.
func copyHashing(w *os.File, h io.Writer, r io.Reader) (total int64, err error) {
	free, received, hashed := make(chan []byte, pullAhead), make(chan []byte, pullAhead), make(chan []byte, pullAhead)
	for range pullAhead {
		free <- nil // allocated when needed
	}
	var stages sync.WaitGroup
	stages.Go(func() {
		defer close(hashed)
		for chunk := range received {
			h.Write(chunk) // a hash never fails
			hashed <- chunk
		}
	})
	failed := make(chan error, 1)
	stages.Go(func() {
		var werr error
		for chunk := range hashed {
			if werr == nil {
				if _, werr = w.Write(chunk); werr != nil {
					failed <- werr
				}
			}
			free <- chunk[:cap(chunk)]
		}
	})
	for err == nil {
		chunk := <-free
		if chunk == nil {
			chunk = make([]byte, chunkBytes)
		}
		var n int
		n, err = io.ReadFull(r, chunk)
		if n > 0 {
			total += int64(n)
			received <- chunk[:n]
		}
		select {
		case err = <-failed:
		default:
		}
	}
	close(received)
	stages.Wait()
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	select {
	case werr := <-failed:
		err = werr
	default:
	}
	return total, err
}

// links come after the files, so that nothing is ever written through one.
func (p *puller) links(m weft.Manifest) error {
	for _, e := range m.Entries {
		if e.Kind != weft.Symlink {
			continue
		}
		name := filepath.FromSlash(e.Path)
		if old, err := p.root.Readlink(name); err == nil && old == e.Target {
			continue // from a pull that broke off
		}
		if err := p.root.Symlink(e.Target, name); err != nil {
			return inTheWay(e.Path, err)
		}
	}
	return nil
}

// folderModes comes last, and from the deepest up, as a directory may end up closed.
func (p *puller) folderModes(m weft.Manifest) error {
	for _, e := range slices.Backward(m.Entries) {
		if e.Kind == weft.Folder {
			if err := p.root.Chmod(filepath.FromSlash(e.Path), fs.FileMode(e.Mode)); err != nil {
				return fileError(err)
			}
		}
	}
	return nil
}
