package importer

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/klauspost/compress/zstd"
	"github.com/klauspost/pgzip"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/content"
)

// noFollow opens nothing through a link, and does not wait for the other end of a pipe.
const noFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// A place is a directory, an archive or a file on the server, below a directory from which
// users may import.
type place struct {
	root string
	rel  string
}

// local finds the allowed directory that a path is below.
func (im *Importer) local(path string) (source, error) {
	if len(im.Roots) == 0 {
		return nil, weft.Errorf(weft.Forbidden, "nothing may be imported from this server's directories").
			WithAdvice("its administrator allows some with roots in the section import of the settings")
	}
	for _, root := range im.Roots {
		rel, err := filepath.Rel(root, path)
		if err == nil && filepath.IsLocal(rel) {
			return place{root, rel}, nil
		}
	}
	return nil, weft.Errorf(weft.Forbidden, "%s is not below a directory from which data may be imported", path).
		WithAdvice("those are: %s", strings.Join(im.Roots, ", "))
}

// fetch copies what is there, sharing its blocks where the file system can. No link leads
// it out of the allowed directory: those on the way are refused, those within stay links.
func (p place) fetch(ctx context.Context, j *job) (tree weft.Tree, version string, err error) {
	root, err := os.OpenRoot(p.root)
	if err != nil {
		return tree, "", explainLocal(p, err)
	}
	defer root.Close()
	f, err := root.OpenFile(p.rel, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return tree, "", explainLocal(p, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return tree, "", explainLocal(p, err)
	}
	switch {
	case info.IsDir():
		tree, err = j.Content.PutDir(ctx, j.pin, j.until(), f, content.Copy, j.progress)
		return tree, "", err
	case !info.Mode().IsRegular():
		return tree, "", weft.Errorf(weft.Invalid, "%s is neither a directory nor a file", filepath.Join(p.root, p.rel))
	}
	j.total.Store(info.Size())
	in := j.intake()
	defer in.Close()
	err = takeFile(ctx, in, filepath.Base(p.rel), info.Size(), f)
	if err == nil {
		tree, err = in.Finish(ctx)
	}
	return tree, "", err
}

func explainLocal(p place, err error) error {
	name := filepath.Join(p.root, p.rel)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return weft.Errorf(weft.NotFound, "%s is not there", name)
	case errors.Is(err, fs.ErrPermission):
		return weft.Errorf(weft.Forbidden, "the server may not read %s", name)
	}
	return weft.Errorf(weft.Invalid, "%s cannot be imported: a link leads there, or out of %s", name, p.root).
		WithAdvice("name the place itself; links are not followed out of the directories that are allowed")
}

// archiveEnds are the ends of names that mean archives.
var archiveEnds = []string{".tar", ".tar.gz", ".tgz", ".tar.zst", ".zip"}

// isArchive reports which kind of archive a name says it is.
func isArchive(name string) (end string, ok bool) {
	name = strings.ToLower(name)
	for _, end := range archiveEnds {
		if strings.HasSuffix(name, end) {
			return end, true
		}
	}
	return "", false
}

// takeFile brings in a file: unpacked if it is an archive, else as the only one of its Data.
func takeFile(ctx context.Context, in *content.Intake, name string, size int64, f *os.File) error {
	end, _ := isArchive(name)
	if end == ".zip" {
		return in.Zip(ctx, f, size)
	}
	return takeStream(ctx, in, name, size, f)
}

// takeStream is takeFile for all but zip, whose directory is at its end.
func takeStream(ctx context.Context, in *content.Intake, name string, size int64, r io.Reader) error {
	const readable = 0o644
	switch end, _ := isArchive(name); end {
	case ".tar":
		return in.Tar(ctx, r)
	case ".tar.gz", ".tgz":
		z, err := pgzip.NewReader(r)
		if err != nil {
			return weft.Errorf(weft.Invalid, "archive: it is not compressed by gzip, or damaged: %w", err)
		}
		defer z.Close()
		return in.Tar(ctx, z)
	case ".tar.zst":
		z, err := zstd.NewReader(r)
		if err != nil {
			return weft.Errorf(weft.Invalid, "archive: it is not compressed by zstd, or damaged: %w", err)
		}
		defer z.Close()
		return in.Tar(ctx, z)
	}
	return in.File(ctx, name, readable, size, r)
}
