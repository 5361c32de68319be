package weft

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A Manifest lists everything in a directory tree, sorted by path in byte order.
// Its digest is the identity of a Data's content: two trees with the same files,
// modes and links have the same manifest. Owners and times are not part of it.
type Manifest struct{ Entries []Entry }

// An Entry is one file, directory or symbolic link of a tree.
type Entry struct {
	Path   string // relative, slash-separated, any bytes but NUL
	Kind   EntryKind
	Mode   uint32 // permission bits 0777; 0 for links
	Size   int64  // of files
	Digest Digest // of files
	Target string // of links: their text, which may be anything
}

// An EntryKind tells files, directories and links apart.
type EntryKind byte

const (
	File    EntryKind = 'f'
	Folder  EntryKind = 'd'
	Symlink EntryKind = 'l'
)

const manifestHeader = "weft manifest 1\n"

// Executable reports whether the file is kept as an executable object.
func (e Entry) Executable() bool { return e.Mode&0o111 != 0 }

// Sort orders the entries by path, as Validate and Encode expect them.
func (m *Manifest) Sort() {
	slices.SortFunc(m.Entries, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
}

// Totals returns the number of regular files and the sum of their sizes.
func (m Manifest) Totals() (files, size int64) {
	for _, e := range m.Entries {
		if e.Kind == File {
			files++
			size += e.Size
		}
	}
	return files, size
}

// Find returns the entry at a path.
func (m Manifest) Find(p string) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(m.Entries, p, func(e Entry, p string) int { return strings.Compare(e.Path, p) })
	if !ok {
		return Entry{}, false
	}
	return m.Entries[i], true
}

// Validate refuses a manifest that no directory can have, or that would reach
// outside of it: paths that are not clean or not relative, entries out of order or
// twice, and anything below a file or a link.
func (m Manifest) Validate() error {
	kinds := make(map[string]EntryKind)
	last, total := "", int64(0)
	for i, e := range m.Entries {
		if err := e.validate(); err != nil {
			return err
		}
		if i > 0 && e.Path <= last {
			return Errorf(Invalid, "manifest: %q is out of order or listed twice", clip(e.Path))
		}
		last = e.Path
		if e.Kind == File {
			if e.Size > math.MaxInt64-total {
				return Errorf(Invalid, "manifest: the sizes add up to more than can be")
			}
			total += e.Size
		}
		if e.Kind != Folder {
			kinds[e.Path] = e.Kind
		}
	}
	above := make(map[string]bool) // directories that were looked at, with those above them
	for _, e := range m.Entries {
		dir := e.Path
		for {
			slash := strings.LastIndexByte(dir, '/')
			if slash < 0 || above[dir[:slash]] {
				break
			}
			dir = dir[:slash]
			above[dir] = true
			if _, ok := kinds[dir]; ok {
				return Errorf(Invalid, "manifest: %q lies below %q, which is not a directory", clip(e.Path), clip(dir))
			}
		}
	}
	return nil
}

func (e Entry) validate() error {
	switch {
	case e.Path == "" || e.Path == "." || path.IsAbs(e.Path) || path.Clean(e.Path) != e.Path ||
		e.Path == ".." || strings.HasPrefix(e.Path, "../") || strings.Contains(e.Path, "\x00"):
		return Errorf(Invalid, "manifest: %q is not a clean path inside the directory", clip(e.Path))
	case e.Mode&^0o777 != 0:
		return Errorf(Invalid, "manifest: %q has the mode %o; only permission bits are kept", clip(e.Path), e.Mode)
	case e.Kind == File && (e.Size < 0 || e.Digest.IsZero()):
		return Errorf(Invalid, "manifest: file %q has no size or no digest", clip(e.Path))
	case e.Kind == Symlink && (e.Target == "" || strings.Contains(e.Target, "\x00")):
		return Errorf(Invalid, "manifest: link %q has no target", clip(e.Path))
	case e.Kind != File && e.Kind != Folder && e.Kind != Symlink:
		return Errorf(Invalid, "manifest: %q is of unknown kind %q", clip(e.Path), string(e.Kind))
	}
	return nil
}

// Encode returns the canonical text: a header, then a line per entry. Paths and
// targets are quoted as Go strings in ASCII, so that any bytes survive.
func (m Manifest) Encode() []byte {
	b := make([]byte, 0, len(manifestHeader)+len(m.Entries)*112)
	b = append(b, manifestHeader...)
	for _, e := range m.Entries {
		b = append(b, byte(e.Kind), ' ')
		switch e.Kind {
		case File:
			b = fmt.Appendf(b, "%04o %d %x ", e.Mode, e.Size, e.Digest[:])
		case Folder:
			b = fmt.Appendf(b, "%04o ", e.Mode)
		case Symlink:
			b = append(strconv.AppendQuoteToASCII(b, e.Target), ' ')
		}
		b = append(strconv.AppendQuoteToASCII(b, e.Path), '\n')
	}
	return b
}

// Digest returns the SHA-256 of the canonical text.
func (m Manifest) Digest() Digest { return sha256.Sum256(m.Encode()) }

// DecodeManifest reads what Encode wrote and validates it. Text that is not in
// canonical form is refused, so that its digest is the digest of what was read.
func DecodeManifest(text []byte) (Manifest, error) {
	r := bufio.NewReader(bytes.NewReader(text))
	if head, err := r.ReadString('\n'); err != nil || head != manifestHeader {
		return Manifest{}, Errorf(Invalid, "this is not a manifest: its first line is not %q", strings.TrimSpace(manifestHeader))
	}
	var m Manifest
	for n := 2; ; n++ {
		line, err := r.ReadString('\n')
		if err == io.EOF && line == "" {
			break
		}
		if err != nil {
			return Manifest{}, Errorf(Invalid, "manifest: line %d is cut short", n)
		}
		e, ok := decodeEntry(strings.TrimSuffix(line, "\n"))
		if !ok {
			return Manifest{}, Errorf(Invalid, "manifest: line %d is malformed", n)
		}
		m.Entries = append(m.Entries, e)
	}
	if err := m.Validate(); err != nil {
		return Manifest{}, err
	}
	if !bytes.Equal(m.Encode(), text) {
		return Manifest{}, Errorf(Invalid, "manifest: not in canonical form")
	}
	return m, nil
}

func decodeEntry(line string) (Entry, bool) {
	kind, rest, ok := strings.Cut(line, " ")
	if !ok || len(kind) != 1 {
		return Entry{}, false
	}
	e := Entry{Kind: EntryKind(kind[0])}
	var err error
	switch e.Kind {
	case File:
		f := strings.SplitN(rest, " ", 4)
		if len(f) != 4 {
			return Entry{}, false
		}
		mode, err1 := strconv.ParseUint(f[0], 8, 32)
		size, err2 := strconv.ParseInt(f[1], 10, 64)
		digest, err3 := ParseDigest(digestPrefix + f[2])
		if err1 != nil || err2 != nil || err3 != nil {
			return Entry{}, false
		}
		e.Mode, e.Size, e.Digest, rest = uint32(mode), size, digest, f[3]
	case Folder:
		modeText, p, _ := strings.Cut(rest, " ")
		mode, err1 := strconv.ParseUint(modeText, 8, 32)
		if err1 != nil {
			return Entry{}, false
		}
		e.Mode, rest = uint32(mode), p
	case Symlink:
		quoted, err1 := strconv.QuotedPrefix(rest)
		if err1 != nil {
			return Entry{}, false
		}
		e.Target, err = strconv.Unquote(quoted)
		rest = strings.TrimPrefix(rest[len(quoted):], " ")
	default:
		return Entry{}, false
	}
	if err != nil {
		return Entry{}, false
	}
	e.Path, err = strconv.Unquote(rest)
	return e, err == nil
}
