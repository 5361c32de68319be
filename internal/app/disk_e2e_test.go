//go:build e2e

package app_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft/api"

	_ "modernc.org/sqlite" // to change a database as a newer program would
)

// TestFullDisk fills the disk of a server: below the reserve nothing comes in and
// nothing starts, in words; what is there can be read; and it goes on when there is
// room again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	const size, reserve = 128 << 20, 32 << 20
	ctx := patiently(t)
	disk := tmpfs(t, size)
	m := newMachineOn(t, filepath.Join(disk, "state"), "--disk-reserve", "32Mi")
	m.furnish()
	first := m.run(ctx, []string{"write", "/out/file=first"})
	m.reach(ctx, first.RunID, "done")
	before := m.countData(ctx)

	filler := filepath.Join(disk, "filler")
	fillDisk(t, disk, filler, reserve/2)
	wants := []string{"the disk is full", "are kept in reserve", "remove Data and Runs that are not needed any more"}
	status, message := m.postArchive(ctx, gzipped(tarOf(t, entry{name: "a", body: "x"})), "")
	if status != http.StatusInsufficientStorage || !containsAll(message, wants) {
		t.Errorf("an archive: %d %q; want 507 and %q", status, message, wants)
	}
	dir := t.TempDir()
	for _, args := range [][]string{{"data", "push", dir}, {"image", "push", jobImage(t), "test/other:v1"}} {
		if code, _, text := m.try(args...); code != 10 || !containsAll(text, wants[:2]) {
			t.Errorf("weft %s: exit code %d, %s", strings.Join(args[:2], " "), code, text)
		}
	}
	blocked := m.run(ctx, []string{"write", "/out/file=second"}) // plans are registered all the same
	m.waits(ctx, blocked.RunID, wants...)
	if got := readFile(ctx, t, m, first.Outputs[0].KnitID, "file"); got != "first" {
		t.Errorf("what is there reads as %q", got)
	}
	if got := m.countData(ctx); got != before+2 { // those that the blocked run is to make
		t.Errorf("there are %d data, and %d before", got, before)
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	m.reach(ctx, blocked.RunID, "done")
	m.pushTagged("there is:room")

	// A program that fills the disk to its last byte does not harm the server, and its
	// end is recorded.
	fillDisk(t, disk, filler, reserve+8<<20)
	meeting := newMeeting(t)
	greedy := m.run(ctx, slices.Concat([]string{"print", "begins", "stuff", "/out/big"}, meeting.words(), []string{"exit", "1"}),
		func(p *api.PlanSpec) { p.Resources["memory"] = "1Gi" }) // on a tmpfs, what it writes is memory
	release := meeting.arrival(ctx)
	if status, message := m.postArchive(ctx, gzipped(tarOf(t, entry{name: "a", body: "x"})), ""); status != http.StatusInsufficientStorage {
		t.Errorf("an archive when there is no byte left: %d %q", status, message)
	}
	if got := readFile(ctx, t, m, first.Outputs[0].KnitID, "file"); got != "first" {
		t.Errorf("what is there reads as %q", got)
	}
	release() // the ballast has room for how it ends
	if r := m.reach(ctx, greedy.RunID, "done", "failed"); r.Status != "failed" || r.Exit.Code != 1 {
		t.Errorf("the greedy run is %s, exit %+v", r.Status, r.Exit)
	}
	if log := m.logOf(ctx, greedy.RunID); log != "begins\n" {
		t.Errorf("its log is %q", log)
	}

	// What the user removes is room within seconds, though content has a grace of an hour.
	late := m.run(ctx, []string{"write", "/out/file=late"})
	m.waits(ctx, late.RunID, wants...)
	if err := m.DeleteRun(ctx, greedy.RunID); err != nil {
		t.Errorf("remove the greedy run: %v", err)
	}
	m.reach(ctx, late.RunID, "done")
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := m.stop(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	m.collect(ctx)
	fillDisk(t, disk, filler, 0)
	m.start()
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	m.pushTagged("there is:room again")
	m.verifyAll(ctx)
}

// tmpfs mounts a file system of that size.
func tmpfs(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillDisk writes a file that leaves so many bytes free.
func fillDisk(t *testing.T, disk, name string, free int64) {
	t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(disk, &s); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, make([]byte, int64(s.Bavail)*s.Bsize-free), 0o600); err != nil {
		t.Fatal(err)
	}
}

func containsAll(text string, wants []string) bool {
	for _, want := range wants {
		if !strings.Contains(text, want) {
			return false
		}
	}
	return true
}

// try runs a client command that may fail.
func (m *machine) try(args ...string) (code int, stdout, stderr string) {
	m.t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(context.WithoutCancel(m.t.Context()), m.built+"/weft", args...)
	cmd.Dir = m.home
	cmd.Env = append(os.Environ(), "HOME="+m.home, "WEFT_URL="+m.url, "WEFT_TOKEN="+m.token)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		m.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// TestStateOfANewerProgram starts a server on a database that a newer program has
// changed so that this one cannot use it.
func TestStateOfANewerProgram(t *testing.T) {
	t.Parallel()
	ctx, m := patiently(t), newMachine(t)
	m.pushTagged("kind:a")
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	m.database(ctx, "UPDATE meta SET schema_version = 1000, oldest_program = 1000")
	code, stdout, stderr := m.try("serve", "--state", m.state, "--listen", "127.0.0.1:0")
	if code != 5 || stdout != "" || !containsAll(stderr, []string{"the database needs a newer program", "version 1000", "install the release of Weft that was used last"}) {
		t.Errorf("exit code %d, %q, %s", code, stdout, stderr)
	}
	m.database(ctx, "UPDATE meta SET schema_version = 1000, oldest_program = 1")
	m.start() // newer, but this program can use it
	if got := m.countData(ctx); got != 1 {
		t.Errorf("there are %d data", got)
	}
}

// database changes the database of a server that is stopped.
func (m *machine) database(ctx context.Context, statement string) {
	m.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(m.state, "weft.db"))
	if err == nil {
		_, err = db.ExecContext(ctx, statement)
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		m.t.Fatal(err)
	}
}
