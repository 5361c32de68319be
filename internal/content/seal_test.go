package content

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
)

// output makes a work directory as a program has left it, and returns how to write to it.
func output(t testing.TB, d *Dir) (dir string, do func(...error)) {
	t.Helper()
	a := weft.Attempt{Run: weft.NewID[weft.Run](), Number: 1}
	data := weft.NewID[weft.Data]()
	if err := d.MakeWork(a, data, os.Getuid(), os.Getgid(), 0o755); err != nil {
		t.Fatal(err)
	}
	return d.WorkDir(a, data), func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func seal(t testing.TB, d *Dir, dir string) (weft.Tree, weft.Manifest, []string) {
	t.Helper()
	tree, problems, err := d.Seal(t.Context(), "p", later(), dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := d.ReadManifest(t.Context(), tree.Digest)
	if err != nil {
		t.Fatal(err)
	}
	return tree, m, problems
}

func mount(t testing.TB, d *Dir, g weft.Digest) string {
	t.Helper()
	dir, err := d.Tree(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestSealKeepsOddNames(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	dir, do := output(t, d)
	names := []string{" ", "\xff", "new\nline", "tab\t", "\"quoted\"", "-rf", "…", "back\\slash", strings.Repeat("n", 255), "a b/c d/\x01"}
	for _, name := range names {
		do(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755), os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644))
	}
	tree, _, problems := seal(t, d, dir)
	if len(problems) > 0 || tree.Files != int64(len(names)) {
		t.Error(tree, problems)
	}
	at := mount(t, d, tree.Digest)
	for _, name := range names {
		if b, err := os.ReadFile(filepath.Join(at, name)); string(b) != name || err != nil {
			t.Errorf("%q holds %q: %v", name, b, err)
		}
	}
}

func TestSealKeepsShape(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	dir, do := output(t, d)
	do(os.Mkdir(dir+"/empty", 0o700), os.Mkdir(dir+"/shared", 0o755), os.Chmod(dir+"/shared", 0o777|fs.ModeSticky),
		os.WriteFile(dir+"/none", nil, 0o644), os.Chmod(dir+"/none", 0),
		os.WriteFile(dir+"/tool", []byte("#!"), 0o711),
		os.Symlink("/etc/shadow", dir+"/out"), os.Symlink("loop", dir+"/loop"), os.Symlink("../../..", dir+"/up"), os.Symlink("\xff\n", dir+"/odd"))
	tree, m, problems := seal(t, d, dir)
	want := []weft.Entry{
		{Path: "empty", Kind: weft.Folder, Mode: 0o700}, {Path: "loop", Kind: weft.Symlink, Target: "loop"},
		{Path: "none", Kind: weft.File}, {Path: "odd", Kind: weft.Symlink, Target: "\xff\n"}, {Path: "out", Kind: weft.Symlink, Target: "/etc/shadow"},
		{Path: "shared", Kind: weft.Folder, Mode: 0o777}, {Path: "tool", Kind: weft.File, Mode: 0o711, Size: 2}, {Path: "up", Kind: weft.Symlink, Target: "../../.."},
	}
	if len(m.Entries) != len(want) || len(problems) > 0 {
		t.Fatal(m, problems)
	}
	for i, e := range m.Entries {
		e.Digest = weft.Digest{}
		if e != want[i] {
			t.Errorf("got %v, want %v", e, want[i])
		}
	}
	at := mount(t, d, tree.Digest)
	for name, mode := range map[string]fs.FileMode{"none": plain, "tool": runnable, "empty": fs.ModeDir | dirMode} {
		if info, err := os.Stat(filepath.Join(at, name)); err != nil || info.Mode() != mode {
			t.Errorf("%s is mounted as %v: %v", name, info, err)
		}
	}
	if target, err := os.Readlink(at + "/out"); target != "/etc/shadow" || err != nil {
		t.Error(target, err)
	}
}

func TestSealReportsWhatCannotBeKept(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	dir, do := output(t, d)
	do(os.WriteFile(dir+"/kept", []byte("kept"), 0o644),
		unix.Mkfifo(dir+"/pipe", 0o666), // opening it would never end
		unix.Mknod(dir+"/sda", unix.S_IFBLK|0o666, int(unix.Mkdev(8, 0))),
		unix.Mknod(dir+"/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))),
		unix.Mknod(dir+"/sock", unix.S_IFSOCK|0o666, 0))
	tree, m, problems := seal(t, d, dir)
	if tree.Files != 1 || len(m.Entries) != 1 {
		t.Error(m)
	}
	told := strings.Join(problems, "\n")
	for _, want := range []string{`named pipe "pipe"`, `device "sda"`, `device "null"`, `socket "sock"`} {
		if !strings.Contains(told, want) {
			t.Errorf("%q is not in %q", want, told)
		}
	}
	for i := range maxProblems {
		do(unix.Mkfifo(fmt.Sprint(dir, "/pipe", i), 0o666))
	}
	if _, _, problems = seal(t, d, dir); len(problems) != maxProblems+1 || problems[maxProblems] != "and 4 more were not kept" {
		t.Error(len(problems), problems[len(problems)-1])
	}
}

func TestSealTakesRightsAway(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	dir, do := output(t, d)
	name := dir + "/tool"
	do(os.WriteFile(name, []byte("tool"), 0o755), os.Chown(name, 1000, 1000),
		unix.Setxattr(name, "user.note", []byte("x"), 0),
		unix.Setxattr(name, "trusted.note", []byte("x"), 0),
		unix.Setxattr(name, "system.posix_acl_access", aclForUser(7), 0),
		os.Chmod(name, 0o755|fs.ModeSetuid|fs.ModeSetgid))
	tree, m, _ := seal(t, d, dir)
	if m.Entries[0].Mode&^0o777 != 0 {
		t.Error(m)
	}
	var s unix.Stat_t
	do(unix.Stat(mount(t, d, tree.Digest)+"/tool", &s))
	if s.Mode != unix.S_IFREG|0o555 || s.Uid != uint32(os.Geteuid()) || s.Gid != uint32(os.Getegid()) {
		t.Errorf("mode %o, owner %d:%d", s.Mode, s.Uid, s.Gid)
	}
	if n, err := unix.Listxattr(d.object(m.Entries[0].Digest, true), nil); n != 0 || err != nil {
		t.Errorf("%d bytes of attributes left: %v", n, err)
	}
}

// aclForUser is an ACL, as the kernel keeps it, that lets one more user write.
func aclForUser(uid byte) []byte {
	const none = "\xff\xff\xff\xff"
	entry := func(tag, perm byte, id string) string { return string([]byte{tag, 0, perm, 0}) + id }
	return []byte("\x02\x00\x00\x00" + entry(1, 7, none) + entry(2, 7, string([]byte{uid, 4, 0, 0})) + entry(4, 5, none) + entry(16, 7, none) + entry(32, 5, none))
}

func TestSealCopiesWhatHasOtherNames(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	dir, do := output(t, d)
	outside := filepath.Join(d.path, "outside")
	do(os.WriteFile(dir+"/a", []byte("shared"), 0o644), os.Link(dir+"/a", dir+"/b"), os.Link(dir+"/a", outside))
	tree, m, _ := seal(t, d, dir)
	if tree.Files != 2 || m.Entries[0].Digest != m.Entries[1].Digest {
		t.Error(m)
	}
	f, err := os.OpenFile(outside, os.O_WRONLY, 0)
	do(err)
	defer f.Close()
	if _, err := f.WriteString("SHARED"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, d, m.Entries[0].Digest); got != "shared" {
		t.Errorf("another name changed the object to %q", got)
	}
}

func TestSealLeavesOtherFileSystemsAlone(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	dir, do := output(t, d)
	other := tmpfs(t, "size=1m")
	do(os.Mkdir(other+"/sub", 0o755), os.WriteFile(other+"/f", []byte("x"), 0o644), os.Mkdir(dir+"/sub", 0o755), os.WriteFile(dir+"/f", nil, 0o644))
	for _, name := range []string{"/sub", "/f"} {
		do(unix.Mount(other+name, dir+name, "", unix.MS_BIND, ""))
		t.Cleanup(func() { unix.Unmount(dir+name, unix.MNT_DETACH) })
	}
	_, m, problems := seal(t, d, dir)
	if len(m.Entries) != 0 || len(problems) != 2 || !strings.Contains(problems[0], "another file system") {
		t.Error(m, problems)
	}
}

func TestSealGoesDeep(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	dir, do := output(t, d)
	const depth = 3000 // deeper than a path can say
	at, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	do(err)
	for range depth {
		do(unix.Mkdirat(at, "d", 0o755))
		next, err := unix.Openat(at, "d", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		do(err, unix.Close(at))
		at = next
	}
	unix.Close(at)
	tree, m, problems := seal(t, d, dir)
	if len(m.Entries) != maxPath/2+1 || len(problems) != 1 {
		t.Error(len(m.Entries), problems)
	}
	mount(t, d, tree.Digest)
	do(d.removeMounted(tree.Digest))
}

// TestSealNeverFollowsARacingLink seals while names keep turning into links to a secret
// and back. No program runs any more when this happens in earnest; even so, nothing of
// what lies outside may get in.
func TestSealNeverFollowsARacingLink(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	dir, do := output(t, d)
	secret := t.TempDir()
	do(os.WriteFile(secret+"/f", []byte("secret"), 0o644), os.Mkdir(dir+"/sub", 0o755), os.WriteFile(dir+"/sub/f", []byte("public"), 0o644),
		os.Symlink(secret, dir+"/link"))
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			unix.Renameat2(unix.AT_FDCWD, dir+"/sub", unix.AT_FDCWD, dir+"/link", unix.RENAME_EXCHANGE)
		}
	}()
	for range 300 {
		tree, _, err := d.Seal(t.Context(), "p", later(), dir)
		if err != nil {
			continue // it noticed
		}
		m, err := d.ReadManifest(t.Context(), tree.Digest)
		do(err)
		for _, e := range m.Entries {
			if e.Kind == weft.File && read(t, d, e.Digest) != "public" {
				t.Fatal("the secret got in")
			}
		}
	}
	stop.Store(true)
	<-done
}

func TestOpenStepwiseIsAsStrict(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, err := range []error{os.MkdirAll(dir+"/a/b", 0o755), os.WriteFile(dir+"/a/b/f", nil, 0o644), os.Symlink("a", dir+"/l"), os.Symlink("f", dir+"/a/b/lf")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(root)
	for p, want := range map[string]bool{".": true, "a": true, "a/b": true, "a/b/f": true, "l/b/f": false, "a/b/lf": false, "a/c/f": false} {
		for name, open := range map[string]func(int, string, int) (int, error){"openat2": openBeneath, "stepwise": openStepwise} {
			fd, err := open(root, p, unix.O_RDONLY)
			if (err == nil) != want {
				t.Errorf("%s %q: %v", name, p, err)
			}
			if err == nil {
				unix.Close(fd)
			}
		}
	}
}

func TestSealAgainFindsTheModesOfBefore(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	dir, do := output(t, d)
	do(os.WriteFile(dir+"/f", []byte("text"), 0o600))
	first, _, _ := seal(t, d, dir)
	if again, _, _ := seal(t, d, dir); again != first {
		t.Error("sealing again made another tree")
	}
	do(os.WriteFile(dir+modesSuffix, []byte("weft mani"), 0o600)) // as a loss of power may leave it
	_, m, _ := seal(t, d, dir)
	if m.Entries[0].Mode != 0o444 {
		t.Error(m)
	}
}

func TestSealOfNothing(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	dir, _ := output(t, d)
	tree, m, _ := seal(t, d, dir)
	if tree.Files != 0 || len(m.Entries) != 0 {
		t.Error(tree, m)
	}
	if entries, err := os.ReadDir(mount(t, d, tree.Digest)); len(entries) > 0 || err != nil {
		t.Error(entries, err)
	}
	if _, _, err := d.Seal(t.Context(), "p", later(), dir+"/none"); err == nil {
		t.Error("sealed a directory that is not there")
	}
}

func TestSealAHundredThousandFiles(t *testing.T) {
	t.Parallel()
	d := open(t, filepath.Join(tmpfs(t, "size=1g"), "content"), newMemory())
	dir, do := output(t, d)
	const n = 100_000
	for i := range n {
		if i%1000 == 0 {
			do(os.Mkdir(fmt.Sprintf("%s/%03d", dir, i/1000), 0o755))
		}
		do(os.WriteFile(fmt.Sprintf("%s/%03d/%d", dir, i/1000, i), []byte(fmt.Sprint(i/2)), 0o644))
	}
	tree, _, _ := seal(t, d, dir)
	if tree.Files != n {
		t.Error(tree)
	}
	at := mount(t, d, tree.Digest)
	if b, err := os.ReadFile(at + "/099/99999"); string(b) != "49999" || err != nil {
		t.Error(string(b), err)
	}
	if p, err := d.Verify(t.Context(), tree.Digest, nil); len(p) > 0 || err != nil {
		t.Error(p, err)
	}
}

// TestMountMoreNamesThanAFileMayHave passes the limit of ext4, 65,000.
func TestMountMoreNamesThanAFileMayHave(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	g := put(t, d, "p", "same")
	var m weft.Manifest
	for i := range 66_000 {
		m.Entries = append(m.Entries, weft.Entry{Path: fmt.Sprintf("%02d/%d", i/1000, i), Kind: weft.File, Mode: 0o644, Size: 4, Digest: g})
	}
	tree, err := d.PutManifest(t.Context(), "p", later(), WithParents(m))
	if err != nil {
		t.Fatal(err)
	}
	at := mount(t, d, tree.Digest)
	for _, name := range []string{"/00/0", "/65/65999"} {
		if b, err := os.ReadFile(at + name); string(b) != "same" || err != nil {
			t.Error(string(b), err)
		}
	}
	if p, err := d.Verify(t.Context(), tree.Digest, nil); len(p) > 0 || err != nil {
		t.Error(p, err)
	}
	if left := leftovers(t, d); len(left) > 0 {
		t.Errorf("left behind %v", left)
	}
}

// tmpfs is a directory that is a file system of its own.
func tmpfs(t testing.TB, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}
