package api

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// framed writes texts as frames, and ends the stream by end.
func framed(t testing.TB, end func(*FrameWriter) error, texts ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewFrameWriter(&b)
	for _, text := range texts {
		if err := w.File(sha256.Sum256([]byte(text)), int64(len(text)), strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := end(w); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unframed reads everything from a stream of frames.
func unframed(r io.Reader) (texts []string, err error) {
	f := NewFrameReader(r)
	for {
		digest, size, content, err := f.Next()
		if errors.Is(err, io.EOF) {
			return texts, nil
		}
		if err != nil {
			return texts, err
		}
		b, err := io.ReadAll(content)
		if err != nil {
			return texts, err
		}
		if int64(len(b)) != size || sha256.Sum256(b) != digest {
			return texts, errors.New("content differs from its frame")
		}
		texts = append(texts, string(b))
	}
}

func TestFramesComeBack(t *testing.T) {
	t.Parallel()
	want := []string{"one", "", strings.Repeat("long ", 50_000), "e", "x"}
	stream := framed(t, (*FrameWriter).Close, want...)
	for name, r := range map[string]io.Reader{"at once": bytes.NewReader(stream), "byte by byte": iotest.OneByteReader(bytes.NewReader(stream))} {
		got, err := unframed(r)
		if err != nil || strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%s: %d files, %v", name, len(got), err)
		}
	}
}

func TestContentThatIsNotReadIsSkipped(t *testing.T) {
	t.Parallel()
	f := NewFrameReader(bytes.NewReader(framed(t, (*FrameWriter).Close, "first", "second")))
	if _, _, _, err := f.Next(); err != nil {
		t.Fatal(err)
	}
	_, _, content, err := f.Next()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(content); err != nil || string(b) != "second" {
		t.Errorf("%q %v", b, err)
	}
}

func TestCutOffFramesAreNoticed(t *testing.T) {
	t.Parallel()
	stream := framed(t, (*FrameWriter).Close, "one", "two")
	for n := range len(stream) {
		if _, err := unframed(bytes.NewReader(stream[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d of %d bytes: %v", n, len(stream), err)
		}
	}
}

func TestSenderThatGivesUpSaysWhy(t *testing.T) {
	t.Parallel()
	stream := framed(t, func(w *FrameWriter) error { return w.Fail("the disk broke") }, "one")
	got, err := unframed(bytes.NewReader(stream))
	var e *Error
	if len(got) != 1 || !errors.As(err, &e) || e.Message != "the disk broke" {
		t.Errorf("%q %v", got, err)
	}
	for n := range len(stream) {
		if _, err := unframed(bytes.NewReader(stream[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d of %d bytes: %v", n, len(stream), err)
		}
	}
}

func TestContentShorterThanItsFrameFails(t *testing.T) {
	t.Parallel()
	err := NewFrameWriter(io.Discard).File([32]byte{}, 10, strings.NewReader("short"))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(framed(f, (*FrameWriter).Close, "one", ""))
	f.Add(framed(f, func(w *FrameWriter) error { return w.Fail("no") }))
	f.Add([]byte("f"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		texts, err := unframed(bytes.NewReader(stream))
		if err == nil && len(texts) > len(stream) {
			t.Error("more files than bytes")
		}
	})
}
