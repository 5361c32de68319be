//go:build e2e

package app_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/weft-dev/weft/api"
)

// repository is the root of the sources, seen from this package.
const repository = "../.."

// built makes the program and the images of the digits example once.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "weft-e2e-")
	if err == nil {
		err = os.Chmod(dir, 0o755) // some servers are not root
	}
	if err != nil {
		return "", err
	}
	commands := [][]string{
		{"go", "build", "-o", dir + "/weft", "./cmd/weft"},
		{"go", "build", "-o", dir + "/mkimage", "./examples/mkimage"},
	}
	for _, program := range []string{"trainer", "evaluator"} {
		commands = append(commands,
			[]string{"go", "build", "-o", dir + "/" + program, "./examples/digits/" + program},
			[]string{dir + "/mkimage", "-o", dir + "/" + program + ".tar", "-name", "digits/" + program + ":v1",
				"-user", "65534", "-entrypoint", "/" + program, dir + "/" + program + ":/" + program})
	}
	for _, c := range commands {
		cmd := exec.Command(c[0], c[1:]...)
		cmd.Dir = repository
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w: %s", strings.Join(c, " "), err, out)
		}
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := built(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// A machine is a real server on a state directory of its own, which may be killed
// and started again.
type machine struct {
	t     testing.TB
	built string
	state string
	home  string
	args  []string
	user  string // directory of a container engine whose user the server is; "": root
	cmd   *exec.Cmd
	log   *bytes.Buffer
	url   string
	token string
	*api.Client
}

func newMachine(t testing.TB, args ...string) *machine {
	t.Helper()
	return newMachineOn(t, t.TempDir(), args...)
}

// newMachineOn starts a server on a state directory that the test has made.
func newMachineOn(t testing.TB, state string, args ...string) *machine {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, built: dir, state: state, home: t.TempDir(), args: args, log: &bytes.Buffer{}}
	return m.open()
}

// open starts the server for the first time.
func (m *machine) open() *machine {
	t := m.t
	t.Helper()
	t.Cleanup(func() {
		if m.cmd != nil {
			m.kill()
		}
		m.killContainers()
		if t.Failed() {
			t.Logf("the server's log:\n%s", m.log)
		}
	})
	m.start()
	return m
}

// start starts the server and waits until it says that it is ready.
func (m *machine) start() {
	m.t.Helper()
	args := append([]string{"serve", "--state", m.state, "--listen", "127.0.0.1:0", "--log-level", "warn"}, m.args...)
	m.cmd = exec.Command(m.built+"/weft", args...)
	if m.user != "" {
		m.cmd = exec.Command(repository+"/test/engine.sh", append([]string{"as", m.user, m.built + "/weft"}, args...)...)
	}
	m.cmd.Env = append(os.Environ(), "HOME="+m.home)
	m.cmd.Stderr = m.log
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		m.t.Fatalf("the server did not start: %v, it said: %s", err, m.log)
	}
	m.url = line[strings.Index(line, "http") : len(line)-1]
	var trust []byte
	if strings.HasPrefix(m.url, "https://") { // by the address that every machine has
		m.url = "https://127.0.0.1" + m.url[strings.LastIndex(m.url, ":"):]
		if trust, err = os.ReadFile(filepath.Join(m.state, "certs", "ca.crt")); err != nil {
			m.t.Fatal(err)
		}
	}
	token, err := os.ReadFile(filepath.Join(m.state, "admin.token"))
	if err != nil {
		m.t.Fatal(err)
	}
	m.token = strings.TrimSpace(string(token))
	if m.Client, err = api.NewClient(m.url, api.Options{Token: m.token, CA: trust}); err != nil {
		m.t.Fatal(err)
	}
}

// kill ends the server at once, as a loss of power would.
func (m *machine) kill() {
	m.cmd.Process.Kill()
	m.cmd.Wait()
	m.cmd = nil
}

// stop ends the server as an administrator would, and returns what became of it.
func (m *machine) stop() error {
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := m.cmd.Wait()
	m.cmd = nil
	return err
}

// supervisors are the processes that stand beside this machine's containers.
func (m *machine) supervisors() []int {
	var pids []int
	commands, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range commands {
		b, err := os.ReadFile(name)
		if err == nil && bytes.Contains(b, []byte("worker\x00supervise\x00"+m.state)) {
			pid, _ := strconv.Atoi(strings.Split(name, "/")[2])
			pids = append(pids, pid)
		}
	}
	return pids
}

// killContainers ends what a test that failed has left.
func (m *machine) killContainers() {
	for _, pid := range m.supervisors() {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	runs, _ := filepath.Glob(filepath.Join(m.state, "runs", "*", "running.json"))
	for _, name := range runs {
		var running struct{ Pid int }
		if b, err := os.ReadFile(name); err == nil && json.Unmarshal(b, &running) == nil && running.Pid > 1 {
			syscall.Kill(running.Pid, syscall.SIGKILL)
		}
	}
}

// weft runs a client command, and returns what it printed.
func (m *machine) weft(args ...string) []byte {
	m.t.Helper()
	cmd := exec.Command(m.built+"/weft", args...)
	cmd.Dir = repository
	cmd.Env = append(os.Environ(), "HOME="+m.home, "WEFT_URL="+m.url, "WEFT_TOKEN="+m.token)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		m.t.Fatalf("weft %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}

// digits brings in everything of the digits example; from then on it runs.
func (m *machine) digits() {
	m.t.Helper()
	for _, program := range []string{"trainer", "evaluator"} {
		m.weft("image", "push", m.built+"/"+program+".tar")
	}
	for _, plan := range []string{"train", "evaluate"} {
		m.weft("plan", "apply", "examples/digits/plans/"+plan+".yaml")
	}
	dir := m.t.TempDir()
	for name, part := range map[string]string{"test": "tail -n 500", "a": "head -n 300", "b": "head -n 600", "c": "head -n 1200"} {
		sub := filepath.Join(dir, name)
		if err := os.Mkdir(sub, 0o755); err != nil {
			m.t.Fatal(err)
		}
		cut := exec.Command("sh", "-c", "gzip -dc examples/digits/data/digits.csv.gz | "+part+" > "+sub+"/digits.csv")
		cut.Dir = repository
		if out, err := cut.CombinedOutput(); err != nil {
			m.t.Fatalf("%v: %s", err, out)
		}
		kind := "type:training"
		if name == "test" {
			kind = "type:test"
		}
		m.weft("data", "push", sub, "--tag", "project:digits", "--tag", kind)
	}
}

// settle waits until nothing is left that could run, and tries what failed again
// when retry says so.
func (m *machine) settle(ctx context.Context, retry func(api.RunDetail) bool) {
	m.t.Helper()
	for e, err := range m.Events(ctx, api.EventQuery{}) {
		if err != nil {
			m.t.Fatalf("wait for the runs: %v", err)
		}
		if e.Kind != "" && e.To != "done" && e.To != "failed" {
			continue
		}
		open, runs := false, 0
		for r, err := range m.FindRuns(ctx, api.RunQuery{}) {
			if err != nil {
				m.t.Fatal(err)
			}
			if r.Status == "failed" && retry(r) {
				if err := m.RetryRun(ctx, r.RunID); err != nil {
					m.t.Fatal(err)
				}
				open = true
			}
			open = open || r.Status != "done" && r.Status != "failed"
			if r.Plan.Image != "" {
				runs++
			}
		}
		if !open && runs == digitsRuns {
			return
		}
	}
}

// digitsRuns is how many runs of plans the digits of this test come to: three
// training sets, each trained on and tested.
const digitsRuns = 6

// picture describes the whole state without ids and times: what data there are, with
// their content, and which run made which from which.
func (m *machine) picture(ctx context.Context) []string {
	m.t.Helper()
	content := map[string]string{}
	var lines []string
	for d, err := range m.FindData(ctx, api.DataQuery{}) {
		if err != nil {
			m.t.Fatal(err)
		}
		var tags []string
		for _, tag := range d.Tags {
			if text := tag.String(); !strings.HasPrefix(text, "knit#") {
				tags = append(tags, text)
			}
		}
		content[d.KnitID] = fmt.Sprintf("%s %d bytes [%s]", d.Digest, d.Bytes, strings.Join(tags, " "))
		lines = append(lines, "data "+content[d.KnitID])
	}
	for r, err := range m.FindRuns(ctx, api.RunQuery{}) {
		if err != nil {
			m.t.Fatal(err)
		}
		var b strings.Builder
		fmt.Fprintf(&b, "run %s%s %s %+v:", r.Plan.Image, r.Plan.Name, r.Status, r.Exit)
		for _, in := range r.Inputs {
			fmt.Fprintf(&b, " %s=%s", in.Path, content[in.KnitID])
		}
		b.WriteString(" →")
		for _, out := range r.Outputs {
			fmt.Fprintf(&b, " %s=%s", out.Path, content[out.KnitID])
		}
		if r.Log != nil {
			fmt.Fprintf(&b, " log=%s", content[r.Log.KnitID])
		}
		lines = append(lines, b.String())
	}
	slices.Sort(lines)
	return lines
}

// verifyAll has every data's content read again and compared.
func (m *machine) verifyAll(ctx context.Context) {
	m.t.Helper()
	for d, err := range m.FindData(ctx, api.DataQuery{}) {
		if err != nil {
			m.t.Fatal(err)
		}
		for step, err := range m.Verify(ctx, d.KnitID) {
			if err != nil || step.Error != nil || len(step.Problems) > 0 {
				m.t.Errorf("verify %s: %v %v %v", d.KnitID, err, step.Error, step.Problems)
			}
		}
	}
}

func readAll(t testing.TB, r io.ReadCloser, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
