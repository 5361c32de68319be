package worker

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// An account is what the image says of the user that the program runs as.
type account struct {
	uid, gid uint32
	groups   []uint32
	home     string
}

// lookUp finds USER or USER:GROUP, as the config of an image has it, names or
// numbers, in the files below root, which is the image's. Empty is root. As with Docker, a number need
// not be listed, and the groups that list the user count only if none is named.
func lookUp(root, user string) (account, error) {
	name, group, grouped := strings.Cut(user, ":")
	if name == "" {
		name = "0"
	}
	a := account{home: "/"}
	login, err := a.fromPasswd(root, name)
	if err != nil {
		return a, err
	}
	err = eachLine(root, "etc/group", func(f []string) {
		if len(f) < 4 {
			return
		}
		gid, ok := parseID(f[2])
		switch {
		case !ok:
		case grouped && f[0] == group:
			a.gid, group = gid, f[2]
		case !grouped && login != "" && gid != a.gid && slices.Contains(strings.Split(f[3], ","), login):
			a.groups = append(a.groups, gid)
		}
	})
	if err != nil {
		return a, err
	}
	if grouped && group != "" {
		gid, ok := parseID(group)
		if !ok {
			return a, fmt.Errorf("the image's group %q is not in its /etc/group", group)
		}
		a.gid = gid
	}
	return a, nil
}

// fromPasswd sets what /etc/passwd says of the user, and returns the login name, if
// it is known.
func (a *account) fromPasswd(root, name string) (login string, err error) {
	uid, numeric := parseID(name)
	found := false
	err = eachLine(root, "etc/passwd", func(f []string) {
		if found || len(f) < 6 || f[0] != name && (!numeric || f[2] != name) {
			return
		}
		u, ok1 := parseID(f[2])
		g, ok2 := parseID(f[3])
		if ok1 && ok2 {
			a.uid, a.gid, a.home, login, found = u, g, f[5], f[0], true
		}
	})
	switch {
	case err != nil || found:
	case numeric:
		a.uid = uid
	default:
		err = fmt.Errorf("the image's user %q is not in its /etc/passwd", name)
	}
	if a.home == "" {
		a.home = "/"
	}
	return login, err
}

func parseID(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && n <= math.MaxInt32
}

// eachLine calls do with the fields of each line of a file in the image. A file that
// is not there has no lines.
func eachLine(root, name string, do func(fields []string)) error {
	file, err := openInRoot(root, name, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the image's /%s: %w", name, err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, fmt.Errorf("the image's /%s is not a file", name))
	}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" && line[0] != '#' {
			do(strings.Split(line, ":"))
		}
	}
	return lines.Err()
}
