package api

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// FrameType is the content type of a stream of frames.
const FrameType = "application/x-weft-frames"

// Many small files travel in one body as frames, each a kind, and for files:
//
//	'f', 32 bytes digest, 8 bytes size (big endian), the bytes
//	'e'                                               the end: all was sent
//	'x', 4 bytes length (big endian), a message       the sender had to give up
//
// A stream without 'e' or 'x' was cut off.
const (
	frameFile = 'f'
	frameEnd  = 'e'
	frameFail = 'x'

	frameBuffer      = 64 << 10
	maxFrameMessage  = 64 << 10
	frameHeaderBytes = 1 + 32 + 8
)

// A FrameWriter writes files as frames. It is not safe for concurrent use.
type FrameWriter struct{ w *bufio.Writer }

// NewFrameWriter returns a FrameWriter that writes to w.
func NewFrameWriter(w io.Writer) *FrameWriter {
	return &FrameWriter{bufio.NewWriterSize(w, frameBuffer)}
}

// File writes one frame; r must give exactly size bytes.
func (f *FrameWriter) File(digest [32]byte, size int64, r io.Reader) error {
	var head [frameHeaderBytes]byte
	head[0] = frameFile
	copy(head[1:], digest[:])
	binary.BigEndian.PutUint64(head[33:], uint64(size))
	if _, err := f.w.Write(head[:]); err != nil {
		return err
	}
	n, err := io.CopyN(f.w, r, size)
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("frame: content ended after %d of %d bytes: %w", n, size, io.ErrUnexpectedEOF)
	}
	return err
}

// Fail ends the stream, telling the reader why it is not whole.
func (f *FrameWriter) Fail(message string) error {
	message = message[:min(len(message), maxFrameMessage)]
	var head [5]byte
	head[0] = frameFail
	binary.BigEndian.PutUint32(head[1:], uint32(len(message)))
	f.w.Write(head[:]) // an error is kept, and returned by Flush
	f.w.WriteString(message)
	return f.w.Flush()
}

// Close ends the stream. It does not close the writer below.
func (f *FrameWriter) Close() error {
	if err := f.w.WriteByte(frameEnd); err != nil {
		return err
	}
	return f.w.Flush()
}

// A FrameReader reads what a FrameWriter wrote. It is not safe for concurrent use.
type FrameReader struct {
	r    *bufio.Reader
	file io.LimitedReader
}

// NewFrameReader returns a FrameReader that reads from r.
func NewFrameReader(r io.Reader) *FrameReader {
	b := bufio.NewReaderSize(r, frameBuffer)
	return &FrameReader{r: b, file: io.LimitedReader{R: b}}
}

// Next returns the next file; its content must be read before the following call,
// which skips the rest. The error is io.EOF after the last file,
// io.ErrUnexpectedEOF for a stream that was cut off, and an *Error with the
// sender's message if it had to give up.
func (f *FrameReader) Next() (digest [32]byte, size int64, content io.Reader, err error) {
	if f.file.N > 0 {
		if n, err := io.Copy(io.Discard, &f.file); err != nil || f.file.N > 0 {
			return digest, 0, nil, fmt.Errorf("frame: cut off after %d more bytes: %w", n, errors.Join(err, io.ErrUnexpectedEOF))
		}
	}
	kind, err := f.r.ReadByte()
	if err != nil {
		return digest, 0, nil, cutOff(err)
	}
	switch kind {
	case frameEnd:
		// The end of the stream itself is read too: an HTTP server that answers before
		// closes the connection, on which the client may still be writing.
		if _, err := f.r.ReadByte(); !errors.Is(err, io.EOF) {
			return digest, 0, nil, errors.Join(errors.New("frame: something follows the end"), err)
		}
		return digest, 0, nil, io.EOF
	case frameFail:
		return digest, 0, nil, f.failure()
	case frameFile:
	default:
		return digest, 0, nil, fmt.Errorf("frame: unknown kind %q", kind)
	}
	var head [frameHeaderBytes - 1]byte
	if _, err := io.ReadFull(f.r, head[:]); err != nil {
		return digest, 0, nil, cutOff(err)
	}
	copy(digest[:], head[:])
	size = int64(binary.BigEndian.Uint64(head[32:]))
	if size < 0 {
		return digest, 0, nil, errors.New("frame: negative size")
	}
	f.file.N = size
	return digest, size, frameContent{f}, nil
}

func (f *FrameReader) failure() error {
	var n [4]byte
	if _, err := io.ReadFull(f.r, n[:]); err != nil {
		return cutOff(err)
	}
	length := binary.BigEndian.Uint32(n[:])
	if length > maxFrameMessage {
		return errors.New("frame: message too long")
	}
	message := make([]byte, length)
	if _, err := io.ReadFull(f.r, message); err != nil {
		return cutOff(err)
	}
	return &Error{Message: string(message), Kind: KindInternal}
}

// cutOff turns an end where none may be into io.ErrUnexpectedEOF.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// frameContent reads the content of the current frame, and tells a stream that is
// cut off within it from its end.
type frameContent struct{ f *FrameReader }

func (c frameContent) Read(p []byte) (int, error) {
	n, err := c.f.file.Read(p)
	if errors.Is(err, io.EOF) && c.f.file.N > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
