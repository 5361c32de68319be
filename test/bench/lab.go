package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/weft-dev/weft/api"
)

// A lab is where figures are measured: the program and a directory on the disk.
type lab struct {
	program string
	dir     string
	large   int64
	n       int
}

// path makes a new name in the lab.
func (l *lab) path(what string) string {
	l.n++
	return filepath.Join(l.dir, fmt.Sprintf("%s-%d", what, l.n))
}

// A server is a running `weft serve`.
type server struct {
	state string
	cmd   *exec.Cmd
	url   string
	token string
	ready time.Duration // from the start of the process to its line
	*api.Client
}

// serve starts a server on a state directory and waits for its line.
func (l *lab) serve(ctx context.Context, state string, args ...string) (*server, error) {
	from := time.Now()
	args = append([]string{"serve", "--state", state, "--listen", "127.0.0.1:0", "--log-level", "warn"}, args...)
	cmd := exec.CommandContext(ctx, l.program, args...)
	cmd.Env = append(os.Environ(), "HOME="+l.dir) // it writes the user's profile
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{state: state, cmd: cmd}
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("weft serve said nothing: %w", err), cmd.Wait())
	}
	s.ready = time.Since(from)
	go io.Copy(io.Discard, lines)
	for word := range strings.FieldsSeq(line) {
		if strings.HasPrefix(word, "http://") {
			s.url = word
		}
	}
	token, err := os.ReadFile(filepath.Join(state, "admin.token"))
	if err != nil {
		return nil, err
	}
	s.token = strings.TrimSpace(string(token))
	s.Client, err = api.NewClient(s.url, api.Options{Token: s.token})
	return s, err
}

// stop ends the server as an administrator would.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.cmd.Wait()
}

// weft runs a client command against the server and returns what it printed.
func (l *lab) weft(ctx context.Context, s *server, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, l.program, args...)
	cmd.Env = append(os.Environ(), "HOME="+l.dir, "WEFT_URL="+s.url, "WEFT_TOKEN="+s.token)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("weft %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return out, err
}

// memory returns the resident memory of the server in MB.
func (s *server) memory() (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseFloat(strings.Fields(kb)[0], 64)
			return n / 1024, err
		}
	}
	return 0, errors.New("no VmRSS in /proc")
}

// run runs another program, to compare with.
func run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// timed returns how long f took, in seconds.
func timed(f func() error) (float64, error) {
	from := time.Now()
	err := f()
	return time.Since(from).Seconds(), err
}

// repeat calls f n times and returns what it measured, sorted.
func repeat(n int, f func() (float64, error)) ([]float64, error) {
	values := make([]float64, n)
	for i := range values {
		v, err := f()
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	slices.Sort(values)
	return values, nil
}

// quantile returns the value below which a share q of sorted values lies.
func quantile(sorted []float64, q float64) float64 {
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func sortFloats(lists ...[]float64) {
	for _, l := range lists {
		slices.Sort(l)
	}
}

func median(sorted []float64) float64 { return quantile(sorted, 0.5) }
