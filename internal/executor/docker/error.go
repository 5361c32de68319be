package docker

import (
	"context"
	"errors"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/weft-dev/weft"
)

// trouble explains an error of the engine: it does not answer, or says what is wrong. All
// that may be over later; what cannot be is told apart by those who know what they asked.
func (e *Executor) trouble(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return err
	case strings.Contains(err.Error(), "no space left on device"):
		return weft.Errorf(weft.NoSpace, "cannot %s: %w", doing, err).WithAdvice("make room on the disk of the container engine")
	case !answered(err):
		return weft.Errorf(weft.Unavailable, "cannot %s: the container engine at %s does not answer: %w", doing, e.options.Host, err).
			WithAdvice("start Docker, or Podman's service (systemctl --user start podman.socket); all goes on by itself then")
	}
	return weft.Errorf(weft.Unavailable, "cannot %s: the container engine at %s says: %w", doing, e.options.Host, err)
}

// answered reports whether an error came from the engine rather than from the way to it.
func answered(err error) bool {
	if client.IsErrConnectionFailed(err) {
		return false
	}
	for _, is := range []func(error) bool{
		errdefs.IsNotFound, errdefs.IsConflict, errdefs.IsInvalidArgument, errdefs.IsInternal, errdefs.IsPermissionDenied,
		errdefs.IsNotImplemented, errdefs.IsUnavailable, errdefs.IsUnauthorized, errdefs.IsUnknown,
	} {
		if is(err) {
			return true
		}
	}
	return false
}

// idle reports whether the engine refuses because the container does not run, or does not
// run any more. Docker says so by a code of its own, Podman in words.
func idle(err error) bool {
	return errdefs.IsNotFound(err) || errdefs.IsConflict(err) || err != nil && strings.Contains(err.Error(), "state improper")
}

// taken reports whether the engine has a container of that name. Docker says so by a code of
// its own, Podman in words.
func taken(err error) bool {
	return errdefs.IsConflict(err) || err != nil && strings.Contains(err.Error(), "already in use")
}
