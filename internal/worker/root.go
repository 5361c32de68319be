package worker

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Directories of the root file system, below the attempt's.
const (
	dirLower = "lower" // a link to each layer; short names, as all of them must fit in one page
	dirUpper = "upper"
	dirWork  = "work"
	dirRoot  = "rootfs"
)

// mountRoot mounts the image's layers below a directory for what the program
// writes, in the mount namespace of this process, which nobody else sees and which
// goes away with it and the container.
func (t Task) mountRoot() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("leave the machine's mounts: %w", err)
	}
	for _, dir := range []string{dirLower, dirUpper, dirWork, dirRoot} {
		// An earlier supervisor may have come this far; a volatile overlay starts afresh.
		if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)); err != nil {
			return fmt.Errorf("make root file system: %w", err)
		}
	}
	lower := []string{}
	for i, layer := range slices.Backward(t.Layers) {
		link := dirLower + "/" + strconv.Itoa(i)
		if err := os.Symlink(layer, link); err != nil {
			return fmt.Errorf("link layer: %w", err)
		}
		lower = append(lower, link)
	}
	if len(lower) == 0 {
		lower = []string{dirLower} // which then is empty
	}
	options := "lowerdir=" + strings.Join(lower, ":") + ",upperdir=" + dirUpper + ",workdir=" + dirWork
	// What the program leaves outside its outputs is thrown away: it need not be
	// written to disk. Kernels before 5.10 do not know volatile.
	err := unix.Mount("overlay", dirRoot, "overlay", unix.MS_NODEV, options+",volatile")
	if errors.Is(err, unix.EINVAL) {
		err = unix.Mount("overlay", dirRoot, "overlay", unix.MS_NODEV, options)
	}
	if err != nil {
		return fmt.Errorf("mount root file system: %w", err)
	}
	return makeTmp()
}

// makeTmp sees to it that everybody can write to /tmp.
func makeTmp() error {
	const mode = 0o1777
	tmp, err := openInRoot(dirRoot, "tmp", unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOENT) {
		if err := os.Mkdir(dirRoot+"/tmp", 0o755); err != nil {
			return fmt.Errorf("make /tmp: %w", err)
		}
		tmp, err = openInRoot(dirRoot, "tmp", unix.O_DIRECTORY)
	}
	if err != nil {
		return fmt.Errorf("open /tmp: %w", err)
	}
	defer tmp.Close()
	info, err := tmp.Stat()
	if err != nil {
		return fmt.Errorf("open /tmp: %w", err)
	}
	if info.Mode()&(os.ModePerm|os.ModeSticky) == 0o777|os.ModeSticky {
		return nil
	}
	if err := control(tmp, func(fd int) error { return unix.Fchmod(fd, mode) }); err != nil {
		return fmt.Errorf("make /tmp writable: %w", err)
	}
	return nil
}

// openInRoot opens a file below dir to read it. Links lead nowhere else: to them, dir
// is the root.
func openInRoot(dir, name string, flags uint64) (*os.File, error) {
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(root)
	fd, err := unix.Openat2(root, name, &unix.OpenHow{
		Flags:   flags | unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// fillSpec completes the spec with what must be looked up in the root file system,
// and gives the outputs to the program's user.
func (t Task) fillSpec() error {
	a, err := lookUp(dirRoot, t.User)
	if err != nil {
		return err
	}
	p := t.Spec.Process
	p.User.UID, p.User.GID = a.uid, a.gid
	p.User.AdditionalGids = append(a.groups, p.User.AdditionalGids...) // a device may have brought some
	if !slices.ContainsFunc(p.Env, func(kv string) bool { return strings.HasPrefix(kv, "HOME=") }) {
		p.Env = append(p.Env, "HOME="+a.home)
	}
	t.Spec.Root.Path = dirRoot
	for _, dir := range t.Outputs {
		if err := os.Chown(dir, int(a.uid), int(a.gid)); err != nil {
			return fmt.Errorf("give output to user %s: %w", t.User, err)
		}
	}
	return nil
}
