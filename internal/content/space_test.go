package content

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weft-dev/weft"
)

func TestRoom(t *testing.T) {
	t.Parallel()
	const gb = 1_000_000_000
	for _, c := range []struct {
		free, total, reserve, n int64
		says                    string // empty if there is room
	}{
		{free: 100 * gb, total: 200 * gb, reserve: -1, n: 95 * gb},
		{free: 100 * gb, total: 200 * gb, reserve: -1, n: 95*gb + 1, says: "95.0 GB more: 100.0 GB are free, of which 5.0 GB are kept in reserve"},
		{free: 1 * gb, total: 10 * gb, reserve: -1, n: gb / 2},
		{free: gb / 2, total: 10 * gb, reserve: -1, n: 1, says: "1 B more: 500.0 MB are free, of which 500.0 MB"},
		{free: gb, total: 100 * gb, reserve: -1, says: "the disk is full: 1.0 GB are free, of which 5.0 GB"},
		{free: gb, total: 100 * gb, reserve: 0, n: gb},
		{free: gb, total: 100 * gb, reserve: 2 * gb, n: -1, says: "2.0 GB"},
	} {
		d, _ := setup(t)
		d.SetReserve(c.reserve)
		d.statfs = func() (int64, int64, error) { return c.free, c.total, nil }
		err := d.Room(c.n)
		if (err == nil) != (c.says == "") {
			t.Errorf("%+v: %v", c, err)
		}
		if err != nil && (weft.KindOf(err) != weft.NoSpace || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestUploadKeepsTheReserve(t *testing.T) {
	t.Parallel()
	d, l := setup(t)
	d.SetReserve(1000)
	d.statfs = func() (int64, int64, error) { return 1500, 10_000, nil }
	put(t, d, "p", strings.Repeat("x", 500))
	for _, size := range []int64{501, roomStep * 2} {
		_, err := d.Put(t.Context(), "p", later(), weft.Digest{}, size, newPattern(size, noise(1, 1<<20)))
		if weft.KindOf(err) != weft.NoSpace {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	// Of unknown size: the reserve is reached on the way.
	free := int64(roomStep) + 1500
	d.statfs = func() (int64, int64, error) { free -= roomStep; return free, 10_000, nil }
	if _, err := d.Put(t.Context(), "p", later(), weft.Digest{}, -1, newPattern(roomStep*4, noise(2, 1<<20))); weft.KindOf(err) != weft.NoSpace {
		t.Error(err)
	}
	if left := leftovers(t, d); len(left) > 0 || len(l.blobs) != 1 {
		t.Errorf("left behind %v, %d rows", left, len(l.blobs))
	}
}

// TestFullDisk fills a disk in earnest, by each way that content comes in.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	d := open(t, filepath.Join(tmpfs(t, "size=4m"), "content"), newMemory())
	d.statfs = func() (int64, int64, error) { return 1 << 40, 1 << 41, nil } // as if the reserve did not help
	small := archive(t, "f a="+string(noise(1, 900_000)), "f b="+string(noise(2, 900_000)), "f c="+string(noise(3, 900_000)),
		"f d="+string(noise(4, 900_000)), "f e="+string(noise(5, 900_000)))
	for name, bring := range map[string]func() error{
		"put": func() error {
			_, err := d.Put(t.Context(), "p", later(), weft.Digest{}, -1, newPattern(size, noise(1, 1<<20)))
			return err
		},
		"archive": func() error {
			_, err := PutTarGz(t.Context(), d, "p", later(), bytes.NewReader(archive(t, "f a="+string(noise(1, size)))))
			return err
		},
		"small files": func() error {
			_, err := PutTarGz(t.Context(), d, "p", later(), bytes.NewReader(small))
			return err
		},
	} {
		err := bring()
		if weft.KindOf(err) != weft.NoSpace || !strings.Contains(err.Error(), "full") {
			t.Errorf("%s: %v", name, err)
		}
		var e *weft.Error
		if !errors.As(err, &e) || e.Advice == "" {
			t.Errorf("%s: no advice in %v", name, err)
		}
		if left := leftovers(t, d); len(left) > 0 {
			t.Errorf("%s: left behind %v", name, left)
		}
		d.ledger.(*memory).release("p")
		if _, err := d.Collect(t.Context(), 0); err != nil {
			t.Error(err)
		}
		put(t, d, "q", "there is room again")
	}
}

func TestFree(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	if free, total, err := d.Free(); err != nil || free <= 0 || total < free {
		t.Error(free, total, err)
	}
}
