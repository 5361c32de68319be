package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/weft-dev/weft"
)

// A source is a directory (or one file) that is about to be pushed.
type source struct {
	path    string // as found in the file system
	entries []weft.Entry
	files   []int // places in entries of the regular files, in order of path
	bytes   int64
	skipped []string // what is neither file nor directory nor link
}

// walk lists everything in a directory. It reads no file. With follow, links are
// replaced by what they lead to.
func walk(path string, follow bool) (*source, error) {
	info, err := os.Stat(path) // what is named on the command line is followed
	if err != nil {
		return nil, fileError(err)
	}
	w := walker{follow: follow, s: &source{path: path}}
	switch {
	case info.IsDir():
		if follow {
			w.above = []fs.FileInfo{info}
		}
		err = w.dir("")
	case info.Mode().IsRegular():
		w.s.path = filepath.Dir(path)
		w.file(filepath.Base(path), info)
	default:
		return nil, weft.Errorf(weft.Invalid, "%s is neither a directory nor a file", path)
	}
	if err != nil {
		return nil, err
	}
	w.s.sort()
	return w.s, nil
}

// sort puts the entries into the order of a manifest and finds the files again.
func (s *source) sort() {
	m := weft.Manifest{Entries: s.entries}
	m.Sort()
	for i, e := range s.entries {
		if e.Kind == weft.File {
			s.files = append(s.files, i)
		}
	}
}

// at returns where an entry is in the file system.
func (s *source) at(e weft.Entry) string { return filepath.Join(s.path, filepath.FromSlash(e.Path)) }

type walker struct {
	s      *source
	follow bool
	above  []fs.FileInfo // the directories from the top down to here, when links are followed
}

// dir lists the directory at a path relative to the source.
func (w *walker) dir(rel string) error {
	entries, err := os.ReadDir(filepath.Join(w.s.path, filepath.FromSlash(rel)))
	if err != nil {
		return vanished(err)
	}
	for _, d := range entries {
		name := d.Name()
		if rel != "" {
			name = rel + "/" + name
		}
		info, err := d.Info()
		if err != nil {
			return vanished(err)
		}
		if err := w.entry(name, info); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) entry(rel string, info fs.FileInfo) error {
	full := filepath.Join(w.s.path, filepath.FromSlash(rel))
	if info.Mode()&fs.ModeSymlink != 0 && w.follow {
		target, err := os.Stat(full)
		if err != nil {
			return brokenLink(full, err)
		}
		info = target
	}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		w.file(rel, info)
	case mode.IsDir():
		return w.subdir(rel, full, info)
	case mode&fs.ModeSymlink != 0:
		target, err := os.Readlink(full)
		if err != nil {
			return vanished(err)
		}
		w.s.entries = append(w.s.entries, weft.Entry{Path: rel, Kind: weft.Symlink, Target: target})
	default:
		w.s.skipped = append(w.s.skipped, full)
	}
	return nil
}

func (w *walker) file(rel string, info fs.FileInfo) {
	w.s.entries = append(w.s.entries, weft.Entry{Path: rel, Kind: weft.File, Mode: uint32(info.Mode().Perm()), Size: info.Size()})
	w.s.bytes += info.Size()
}

func (w *walker) subdir(rel, full string, info fs.FileInfo) error {
	w.s.entries = append(w.s.entries, weft.Entry{Path: rel, Kind: weft.Folder, Mode: uint32(info.Mode().Perm())})
	if !w.follow {
		return w.dir(rel)
	}
	for _, a := range w.above {
		if os.SameFile(a, info) {
			return weft.Errorf(weft.Invalid, "the link %s leads back to a directory that it is in", full).
				WithAdvice("remove it, or push without --dereference to keep links as links")
		}
	}
	w.above = append(w.above, info)
	err := w.dir(rel)
	w.above = w.above[:len(w.above)-1]
	return err
}

func brokenLink(path string, err error) error {
	why := "leads to nothing"
	if !errors.Is(err, fs.ErrNotExist) {
		why = "cannot be followed: " + strings.TrimPrefix(err.Error(), "stat "+path+": ")
	}
	return weft.Errorf(weft.Invalid, "the link %s %s", path, why).
		WithAdvice("remove it, or push without --dereference to keep links as links")
}

// vanished says of a file that was there a moment ago what has happened.
func vanished(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) && errors.Is(err, fs.ErrNotExist) {
		return changed(pe.Path, "vanished")
	}
	return fileError(err)
}

func changed(path, how string) error {
	return weft.Errorf(weft.Conflict, "%s %s while it was being pushed; nothing was kept of the push", path, how).
		WithAdvice("push again when nobody writes there")
}

// nameTag returns the tag that --name gives: the base name of what was pushed.
func nameTag(path string) (weft.Tag, error) {
	t, err := weft.NewTag("name", filepath.Base(path))
	if err != nil {
		return t, fmt.Errorf("--name: %w", err)
	}
	return t, nil
}
