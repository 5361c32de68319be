package executor

import (
	"path"
	"slices"
	"strings"

	"github.com/weft-dev/weft"
)

// Command is what the program of a job is started with, of an image that has this
// entrypoint and these arguments. As in Kubernetes, an entrypoint of the plan's replaces
// the image's together with its arguments.
func (j Job) Command(entrypoint, args []string) ([]string, error) {
	if len(j.Entrypoint) > 0 {
		entrypoint, args = j.Entrypoint, nil
	}
	if len(j.Args) > 0 {
		args = j.Args
	}
	words := slices.Concat(entrypoint, args)
	if len(words) == 0 {
		return nil, weft.Errorf(weft.Invalid, "image %s has no entrypoint and no command", j.ImageName).
			WithAdvice("set entrypoint in the plan")
	}
	return words, nil
}

// CheckPaths refuses places at which nothing can be mounted.
func (j Job) CheckPaths() error {
	for _, in := range j.Inputs {
		if in.Path == "/" {
			return errRoot
		}
	}
	for _, out := range j.Outputs {
		if out.Path == "/" {
			return errRoot
		}
	}
	return nil
}

var errRoot = weft.Errorf(weft.Invalid, "nothing can be mounted at /: the program itself is there")

// Hostname is what the job's container is called.
func (j Job) Hostname() string { return "run-" + j.Attempt.String()[:8] }

// Environment is that of the job's program, of an image that has this one: later values
// of a variable take the place of earlier ones.
func (j Job) Environment(image []string) []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=" + j.Hostname()}
	for _, kv := range slices.Concat(image, j.Env) {
		key, _, _ := strings.Cut(kv, "=")
		i := slices.IndexFunc(env, func(old string) bool { return strings.HasPrefix(old, key+"=") })
		if i < 0 {
			env = append(env, kv)
		} else {
			env[i] = kv
		}
	}
	return env
}

// WorkDir makes the working directory that an image names absolute.
func WorkDir(image string) string {
	if path.IsAbs(image) {
		return image
	}
	return path.Join("/", image)
}

// Capabilities are those of root in a container: Docker's. Only CAP_NET_RAW is missing
// where other programs use the same network, and it would let a container read all that
// passes, such as tokens.
func Capabilities(alone bool) []string {
	caps := []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_SETGID", "CAP_SETUID",
		"CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
	}
	if alone {
		caps = append(caps, "CAP_NET_RAW")
	}
	return caps
}
