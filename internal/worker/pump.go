package worker

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A pump moves what a program prints to its log. Beyond the limit the program is
// killed, and what it still prints is dropped.
//
// It moves by splice, so that nothing is ever between the pipe and the log: when this
// process is killed, its successor finds each byte in one of the two.
type pump struct {
	stdio, log *os.File
	limit      int64               // bytes; 0 is none
	exceed     func(reason string) // kills the program
}

// run returns when the program has closed its end and everything is in the log.
func (p pump) run() error {
	info, err := p.log.Stat()
	if err != nil {
		return err
	}
	pipe, err := p.stdio.SyscallConn()
	if err != nil {
		return err
	}
	for size := info.Size(); ; {
		most := int64(pipeSize)
		if p.limit > 0 {
			most = min(most, p.limit-size)
		}
		if most <= 0 {
			return p.overflow()
		}
		n, err := splice(pipe, p.log, size, int(most))
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case err != nil:
			p.exceed("ended because its log cannot be written: " + err.Error())
			_, err := io.Copy(io.Discard, p.stdio)
			return err
		case n == 0:
			return nil
		}
		size += n
		// Kernels before 6.7 tell nobody of a splice who watches the file for changes
		// of its content; a change of its times they do tell. If that fails, followers
		// are late, no more.
		_ = os.Chtimes(p.log.Name(), time.Time{}, time.Now())
	}
}

// pipeSize is what a pipe holds by default, and so the most there is to move at once.
const pipeSize = 64 << 10

// splice waits until the pipe has something, and moves at most so many bytes of it to
// an offset of a file. It returns 0 at the end of the pipe.
func splice(pipe syscall.RawConn, to *os.File, offset int64, most int) (int64, error) {
	var n int64
	var err error
	waited := pipe.Read(func(fd uintptr) bool {
		for {
			n, err = unix.Splice(int(fd), nil, int(to.Fd()), &offset, most, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
			if err != unix.EINTR {
				return err != unix.EAGAIN
			}
		}
	})
	return n, errors.Join(waited, err)
}

// overflow waits for more than the limit allows, which ends the program.
func (p pump) overflow() error {
	var one [1]byte
	if n, err := p.stdio.Read(one[:]); n == 0 {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	p.exceed(fmt.Sprintf("ended because its log exceeded the limit of %d bytes", p.limit))
	_, err := io.Copy(io.Discard, p.stdio)
	return err
}
