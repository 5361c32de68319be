package executor

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A fakeContainer carries out one Script. The Fake calls begin, stop and remove; all
// other methods are called with mu held. Mu is never held while the Fake's is taken.
type fakeContainer struct {
	fake   *Fake
	job    Job
	script Script

	mu       sync.Mutex
	seen     Seen
	trees    map[string]string // directory of each input, by its path
	log      []byte
	written  int64 // bytes of outputs
	next     int   // the step to do next
	stubborn bool
	removed  bool
	timer    *time.Timer   // the wait that is under way
	kill     *time.Timer   // the end of the grace after a request to stop
	changed  chan struct{} // closed and replaced when log or state changes
}

func (c *fakeContainer) ended() bool { return c.seen.State == Exited || c.seen.State == Lost }

// begin makes the work directories and starts the script.
func (c *fakeContainer) begin(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.removed {
		return nil
	}
	if err := c.prepare(ctx); err != nil {
		return err
	}
	if c.script.Pending > 0 {
		c.seen.Reason = fmt.Sprintf("pending for %s", c.script.Pending)
		c.wait(c.script.Pending, c.run)
		return nil
	}
	c.run()
	return nil
}

func (c *fakeContainer) prepare(ctx context.Context) error {
	p := c.fake.options.Places
	if p == nil {
		return nil
	}
	c.trees = map[string]string{}
	for _, in := range c.job.Inputs {
		dir, err := p.Tree(ctx, in.Tree)
		if err != nil {
			return fmt.Errorf("input %s: %w", in.Path, err)
		}
		c.trees[in.Path] = dir
	}
	dirs := []string{}
	for _, out := range c.job.Outputs {
		dirs = append(dirs, p.Work(c.job.Attempt, out.Data))
	}
	if !c.job.Log.IsZero() {
		dirs = append(dirs, p.Work(c.job.Attempt, c.job.Log))
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make work directory: %w", err)
		}
	}
	return c.print("") // so that there is a log
}

// wait calls then, with mu held, after d, unless the container has ended by then.
func (c *fakeContainer) wait(d time.Duration, then func()) {
	c.timer = time.AfterFunc(d, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.removed && !c.ended() {
			then()
		}
	})
}

func (c *fakeContainer) run() {
	c.seen = Seen{State: Running, Devices: c.job.Devices, Started: time.Now()}
	c.announce()
	c.resume()
}

// resume does the steps up to the next wait, or to the end.
func (c *fakeContainer) resume() {
	for c.next < len(c.script.Steps) {
		step := c.script.Steps[c.next]
		c.next++
		if step.Verb == "after" {
			c.wait(step.Duration, c.resume)
			return
		}
		if err := c.do(step); err != nil {
			if perr := c.print(err.Error() + "\n"); perr != nil {
				err = perr
			}
			c.end(Seen{State: Exited, Code: 1})
			return
		}
		if c.ended() { // by a limit
			return
		}
	}
	switch s := c.script; {
	case s.Vanish:
		c.end(Seen{State: Lost, Message: "the container vanished"})
	case s.OOM:
		c.end(Seen{State: Exited, Code: 128 + int(syscall.SIGKILL), Signal: int(syscall.SIGKILL), OOM: true})
	case s.Signal != 0:
		c.end(Seen{State: Exited, Code: 128 + s.Signal, Signal: s.Signal})
	default:
		c.end(Seen{State: Exited, Code: s.Code})
	}
}

func (c *fakeContainer) do(s Step) error {
	switch s.Verb {
	case "print":
		return c.print(s.Text + "\n")
	case "show":
		b, err := c.read(s.File)
		if err != nil {
			return err
		}
		return c.print(string(b))
	case "write":
		return c.write(s.File, []byte(s.Text))
	case "copy":
		b, err := c.read(s.File)
		if err != nil {
			return err
		}
		return c.write(s.To, b)
	case "stubborn":
		c.stubborn = true
	}
	return nil
}

func (c *fakeContainer) print(text string) error {
	if limit := c.job.LogLimit; limit > 0 && int64(len(c.log)+len(text)) > limit {
		text = text[:limit-int64(len(c.log))]
		defer c.exceed(OverLimit("log", limit))
	}
	c.log = append(c.log, text...)
	c.wakeReaders()
	p := c.fake.options.Places
	if p == nil || c.job.Log.IsZero() {
		return nil
	}
	file, err := os.OpenFile(filepath.Join(p.Work(c.job.Attempt, c.job.Log), LogFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer file.Close()
	_, err = io.WriteString(file, text)
	return err
}

func (c *fakeContainer) read(file string) ([]byte, error) {
	for dir, tree := range c.trees {
		if rel, ok := strings.CutPrefix(file, dir+"/"); ok {
			return os.ReadFile(filepath.Join(tree, rel))
		}
	}
	host, err := c.output(file)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(host)
}

func (c *fakeContainer) write(file string, content []byte) error {
	if c.fake.options.Places == nil {
		return nil
	}
	host, err := c.output(file)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(host), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(host, content, 0o644); err != nil {
		return err
	}
	c.written += int64(len(content))
	if limit := c.job.OutputLimit; limit > 0 && c.written > limit {
		c.exceed(OverLimit("outputs", limit))
	}
	return nil
}

// output returns where a file of an output lies outside the container.
func (c *fakeContainer) output(file string) (string, error) {
	p := c.fake.options.Places
	for _, out := range c.job.Outputs {
		if rel, ok := strings.CutPrefix(file, out.Path+"/"); ok && p != nil {
			return filepath.Join(p.Work(c.job.Attempt, out.Data), rel), nil
		}
	}
	return "", fmt.Errorf("%s: no such file or directory", file)
}

func (c *fakeContainer) exceed(message string) {
	c.end(Seen{State: Exited, Code: 128 + int(syscall.SIGKILL), Signal: int(syscall.SIGKILL), Message: message})
}

func (c *fakeContainer) end(seen Seen) {
	if c.ended() {
		return
	}
	seen.Started, seen.Ended, seen.Devices = c.seen.Started, time.Now(), c.job.Devices
	c.seen = seen
	c.stopTimers()
	c.announce()
}

func (c *fakeContainer) announce() {
	c.wakeReaders()
	c.fake.hints.Send(c.job.Attempt)
}

func (c *fakeContainer) wakeReaders() {
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *fakeContainer) stopTimers() {
	for _, t := range []*time.Timer{c.timer, c.kill} {
		if t != nil {
			t.Stop()
		}
	}
}

func (c *fakeContainer) stop(grace time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.removed || c.ended():
	case !c.stubborn:
		c.end(Seen{State: Exited, Code: CodeTerminated})
	case c.kill == nil:
		c.kill = time.AfterFunc(grace, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			if !c.removed {
				c.exceed("")
			}
		})
	}
}

func (c *fakeContainer) remove() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removed = true
	c.stopTimers()
	c.wakeReaders()
}

// OverLimit says in words that a Run was ended because its log or its outputs grew
// larger than it may have.
func OverLimit(what string, limit int64) string {
	return fmt.Sprintf("ended because its %s exceeded the limit of %d bytes", what, limit)
}
