// Program is what the containers of exectest run: an executor.Script, or a probe
// that tells what a container is like from within.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/weft-dev/weft/internal/executor"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == "probe" {
		if err := probe(os.Args[2], os.Args[3:]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	script, err := executor.ParseScript(os.Args[1:])
	if err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	for _, step := range script.Steps {
		if err := do(step, term); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	os.Exit(script.Code)
}

func do(s executor.Step, term chan os.Signal) error {
	switch s.Verb {
	case "print":
		fmt.Println(s.Text)
	case "show":
		b, err := os.ReadFile(s.File)
		os.Stdout.Write(b)
		return err
	case "write":
		return write(s.File, []byte(s.Text))
	case "copy":
		b, err := os.ReadFile(s.File)
		if err != nil {
			return err
		}
		return write(s.To, b)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	case "after":
		select {
		case <-time.After(s.Duration):
		case <-term:
			os.Exit(executor.CodeTerminated)
		}
	}
	return nil
}

func write(name string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, b, 0o644)
}

func probe(what string, args []string) error {
	switch what {
	case "id":
		groups, err := os.Getgroups()
		fmt.Println(os.Getuid(), os.Getgid(), groups, os.Getenv("HOME"))
		return err
	case "env":
		fmt.Println(os.Getenv(args[0]))
	case "now": // in nanoseconds, to measure how long it took to come here
		fmt.Println(time.Now().UnixNano())
	case "cwd":
		dir, err := os.Getwd()
		fmt.Println(dir)
		return err
	case "argv":
		fmt.Printf("%q\n", os.Args)
	case "write":
		return write(args[0], []byte("x"))
	case "status":
		b, err := os.ReadFile("/proc/self/status")
		for line := range strings.Lines(string(b)) {
			if key, _, _ := strings.Cut(line, ":"); key == "CapEff" || key == "NoNewPrivs" || key == "Seccomp" {
				fmt.Print(line)
			}
		}
		return err
	case "eat":
		var eaten [][]byte
		for range 1 << 20 {
			eaten = append(eaten, bytes.Repeat([]byte{1}, 1<<20))
		}
		fmt.Println(len(eaten))
	case "spam":
		n, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil {
			return err
		}
		_, err = io.CopyN(os.Stdout, endless{}, n)
		return err
	case "stdout": // as a shell's "echo >/dev/stdout" does
		fmt.Println("before")
		f, err := os.OpenFile("/dev/stdout", os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			return err
		}
		fmt.Fprintln(f, "within")
		fmt.Fprintln(os.Stderr, "error")
		fmt.Println("after")
	case "linger": // leaves a child behind, which holds stdout
		attr := &os.ProcAttr{Files: []*os.File{nil, os.Stdout, os.Stderr}}
		_, err := os.StartProcess(os.Args[0], []string{os.Args[0], "stubborn", "after", "1h"}, attr)
		fmt.Println("started")
		return err
	case "device": // shows a file and a variable that a device brings
		b, err := os.ReadFile(args[0])
		fmt.Printf("%s%s\n", b, os.Getenv(args[1]))
		return err
	case "hostile": // puts links in the place of what its container shares with the server
		return hostile(args[0])
	case "spin": // until stopped; tells how much processor time it got
		return spin(args[0])
	default:
		return fmt.Errorf("no probe %q", what)
	}
	return nil
}

// hostile waits for SIGTERM, so that the server has time to fall for it.
func hostile(target string) error {
	const dir = "/.weft/run/"
	for _, name := range []string{"exit.json", "running.json", "orders", "worker.log", "handed.tmp", "../log"} {
		_ = os.Remove(dir + name) // a mount cannot be removed
		if err := os.Symlink(target, dir+name); err != nil && !os.IsExist(err) {
			return err
		}
	}
	if err := syscall.Mkfifo(dir+"stop.json", 0o666); err != nil {
		return err
	}
	fmt.Println("done")
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	<-term
	return nil
}

func spin(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return err
	}
	for start := time.Now(); time.Since(start) < d; {
	}
	var used syscall.Rusage
	err = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	fmt.Println((used.Utime.Nano() + used.Stime.Nano()) * 100 / d.Nanoseconds())
	return err
}

// endless is lines without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
		if i%64 == 63 {
			p[i] = '\n'
		}
	}
	return len(p), nil
}
