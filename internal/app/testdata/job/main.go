// Command job is the program in the containers of the tests. Its arguments are what it
// does, one after the other:
//
//	print TEXT        prints a line
//	show FILE         prints a file
//	list DIR          prints the names in a directory
//	write FILE=TEXT   writes a file
//	copy FILE=FILE    copies a file
//	fill FILE=BYTES   writes a file of that size
//	stuff FILE        writes a file until the disk is full
//	hog FILE          writes a file for ever, whatever errors it gets
//	spew BYTES        prints so much
//	eat BYTES         takes so much memory
//	fork COUNT        starts children which never end, nor heed SIGTERM
//	term              waits for SIGTERM
//	signal NUMBER     waits for a signal
//	deaf NUMBER       takes no notice of a signal from then on
//	env NAME          prints a variable of its environment
//	meet ADDRESS      says hello there, and waits until the other side hangs up
//	exit CODE         ends
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "job:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	for len(args) > 0 {
		verb := args[0]
		args = args[1:]
		switch verb {
		case "term":
			waitForTerm()
			continue
		case "stay": // what fork starts
			signal.Ignore(syscall.SIGTERM)
			select {}
		}
		if len(args) == 0 {
			return fmt.Errorf("%s needs an argument", verb)
		}
		if err := do(verb, args[0]); err != nil {
			return fmt.Errorf("%s %s: %w", verb, args[0], err)
		}
		args = args[1:]
	}
	return nil
}

func do(verb, arg string) error {
	name, value, _ := strings.Cut(arg, "=")
	switch verb {
	case "print":
		fmt.Println(arg)
		return nil
	case "show":
		return copyTo(os.Stdout, arg)
	case "list":
		entries, err := os.ReadDir(arg)
		for _, e := range entries {
			fmt.Println(e.Name())
		}
		return err
	case "write":
		return os.WriteFile(name, []byte(value), 0o644)
	case "copy":
		f, err := os.Create(value)
		if err != nil {
			return err
		}
		defer f.Close()
		return copyTo(f, name)
	case "fill":
		return fill(name, value)
	case "stuff":
		if err := fill(arg, "1000000000000"); !errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("the disk is not full: %w", err)
		}
		return nil
	case "hog":
		return hog(arg)
	case "meet":
		return meet(arg)
	case "env":
		fmt.Println(os.Getenv(arg))
		return nil
	}
	n, err := strconv.Atoi(arg)
	if err != nil {
		return err
	}
	return count(verb, n)
}

// count does what takes a number.
func count(verb string, n int) error {
	switch verb {
	case "spew":
		return spew(os.Stdout, n)
	case "eat":
		memory := make([]byte, n)
		for i := range memory {
			memory[i] = 1
		}
		fmt.Println("ate", len(memory))
	case "fork":
		for range n {
			if err := exec.Command("/proc/self/exe", "stay").Start(); err != nil {
				return err
			}
		}
	case "exit":
		os.Exit(n)
	case "signal":
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.Signal(n))
		fmt.Println("waits for signal", n)
		<-c
	case "deaf":
		signal.Notify(make(chan os.Signal, 1), syscall.Signal(n))
	default:
		return fmt.Errorf("no such thing to do")
	}
	return nil
}

func copyTo(w io.Writer, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

func fill(name, size string) error {
	n, err := strconv.Atoi(size)
	if err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return spew(f, n)
}

// spew writes lines of 64 bytes, n bytes in all.
func spew(w io.Writer, n int) error {
	b := bufio.NewWriter(w)
	line := strings.Repeat("x", 63) + "\n"
	for ; n > 0; n -= len(line) {
		if _, err := b.WriteString(line[max(0, len(line)-n):]); err != nil {
			return err
		}
	}
	return b.Flush()
}

func hog(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	for piece := make([]byte, 64<<10); ; {
		if _, err := f.Write(piece); err != nil {
			time.Sleep(time.Millisecond)
		}
	}
}

func waitForTerm() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	fmt.Println("waiting for SIGTERM")
	<-c
	fmt.Println("got SIGTERM")
}

func meet(address string) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = io.Copy(io.Discard, c)
	return err
}
