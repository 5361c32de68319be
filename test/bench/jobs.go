package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/weft-dev/weft/api"
)

// Jobs are programs of a few lines of assembly's worth: what is measured is Weft.
const jobProgram = `package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	fmt.Println(time.Now().UnixMicro())
	if len(os.Args) > 1 {
		d, _ := time.ParseDuration(os.Args[1])
		time.Sleep(d)
	}
}
`

// measureJobs measures what users feel: from the end of a push to the end of its Run,
// and from a Run made to its process started, beside a bare `runc run`.
func measureJobs(ctx context.Context, l *lab) ([]Figure, error) {
	s, err := l.serve(ctx, l.path("jobs"))
	if err != nil {
		return nil, err
	}
	defer s.stop()
	job, err := l.jobImage(ctx, s)
	if err != nil {
		return nil, err
	}
	for name, args := range map[string][]string{"trivial": nil, "sleep": {"3s"}} {
		if err := plan(ctx, s, name, args); err != nil {
			return nil, err
		}
	}
	if _, err := pushAndWait(ctx, s, "trivial"); err != nil { // unpacks the image
		return nil, err
	}
	bareStart, err := l.bareStarts(ctx, job)
	if err != nil {
		return nil, err
	}
	var starts, bare []float64
	trivial, err := repeat(120, func() (float64, error) {
		b, err := bareStart() // in turn, as the machine may be busy with something else now and then
		if err != nil {
			return 0, err
		}
		r, err := pushAndWait(ctx, s, "trivial")
		bare, starts = append(bare, b), append(starts, r.started)
		return r.done, err
	})
	if err != nil {
		return nil, err
	}
	sleep, err := repeat(3, func() (float64, error) {
		r, err := pushAndWait(ctx, s, "sleep")
		return r.done, err
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(starts)
	slices.Sort(bare)
	return []Figure{
		atMost("trivial job, end of push to done", median(trivial), "s", 0.5),
		atMost("job of 3 s, end of push to done", median(sleep), "s", 3.3),
		atMost("run made to process started, above runc run, p50", 1000*(median(starts)-median(bare)), "ms", 60),
		atMost("run made to process started, above runc run, p99", 1000*(quantile(starts, 0.99)-median(bare)), "ms", 250),
	}, nil
}

// jobImage builds the job, pushes its image, and returns the program.
func (l *lab) jobImage(ctx context.Context, s *server) (string, error) {
	dir := l.path("job")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	source, program, image := filepath.Join(dir, "main.go"), filepath.Join(dir, "job"), filepath.Join(dir, "job.tar")
	if err := os.WriteFile(source, []byte(jobProgram), 0o644); err != nil {
		return "", err
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", program, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the job: %w: %s", err, out)
	}
	err := run(ctx, "go", "run", "./examples/mkimage", "-o", image, "-name", "bench/job:v1", "-entrypoint", "/job", program+":/job")
	if err != nil {
		return "", err
	}
	_, err = l.weft(ctx, s, "image", "push", image)
	return program, err
}

func plan(ctx context.Context, s *server, name string, args []string) error {
	spec := api.PlanSpec{
		Image:     "localhost:30503/bench/job:v1",
		Args:      args,
		Inputs:    []api.PlanSpecInput{{Mountpoint: api.Mountpoint{Path: "/in", Tags: []api.Tag{{Key: "bench", Value: name}}}}},
		Outputs:   []api.Mountpoint{{Path: "/out", Tags: nil}},
		Log:       &api.LogPoint{Tags: []api.Tag{{Key: "log", Value: name}}},
		Resources: map[string]api.Quantity{"cpu": "100m", "memory": "64Mi"},
	}
	_, err := s.CreatePlan(ctx, spec)
	return err
}

// A took says how long a job took, in seconds.
type took struct {
	done    float64 // end of the push to done
	started float64 // Run made to its process started
}

// pushAndWait pushes a Data that one plan waits for, and waits for its Run.
func pushAndWait(ctx context.Context, s *server, name string) (took, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ended := make(chan api.Event, 1)
	standing := make(chan struct{})
	go func() {
		made := map[string]bool{}
		for e, err := range s.Events(ctx, api.EventQuery{}) {
			if err != nil {
				return
			}
			switch {
			case e.Kind == "":
				close(standing)
			case e.From == "":
				made[e.RunID] = e.To == "waiting"
			case made[e.RunID] && (e.To == "done" || e.To == "failed"):
				ended <- e
				return
			}
		}
	}()
	select {
	case <-standing:
	case <-ctx.Done():
		return took{}, ctx.Err()
	}
	body := []byte(fmt.Sprint(time.Now().UnixNano()))
	if _, err := pushBytes(ctx, s, body, "bench:"+name); err != nil {
		return took{}, err
	}
	pushed := time.Now()
	var e api.Event
	select {
	case e = <-ended:
	case <-ctx.Done():
		return took{}, fmt.Errorf("the run of %s did not end: %w", name, ctx.Err())
	}
	t := took{done: time.Since(pushed).Seconds()}
	r, err := s.Run(ctx, e.RunID)
	if err != nil {
		return t, err
	}
	if r.Status != "done" {
		return t, fmt.Errorf("run %s is %s: %+v", r.RunID, r.Status, r.Exit)
	}
	log, err := s.RunLog(ctx, r.RunID, false)
	if err != nil {
		return t, err
	}
	defer log.Close()
	var micro int64
	if _, err := fmt.Fscan(log, &micro); err != nil {
		return t, fmt.Errorf("log of %s: %w", r.RunID, err)
	}
	t.started = time.UnixMicro(micro).Sub(r.CreatedAt.Time).Seconds()
	return t, nil
}

// bareStarts returns a function that measures how long `runc run` takes to start the
// same program, in seconds.
func (l *lab) bareStarts(ctx context.Context, program string) (func() (float64, error), error) {
	bundle := l.path("bundle")
	root := filepath.Join(bundle, "rootfs")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, err
	}
	if err := run(ctx, "cp", program, root+"/job"); err != nil {
		return nil, err
	}
	if err := run(ctx, "runc", "spec", "--bundle", bundle); err != nil {
		return nil, err
	}
	config := filepath.Join(bundle, "config.json")
	b, err := os.ReadFile(config)
	if err != nil {
		return nil, err
	}
	text := strings.NewReplacer(`"terminal": true`, `"terminal": false`, `"sh"`, `"/job"`).Replace(string(b))
	if i := strings.Index(text, `"rlimits"`); i >= 0 { // limits above the present ones cannot be set everywhere
		j := strings.Index(text[i:], "]") + i
		text = text[:i] + `"rlimits": [` + text[j:]
	}
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	return func() (float64, error) {
		l.n++
		from := time.Now()
		out, err := exec.CommandContext(ctx, "runc", "run", "--bundle", bundle, fmt.Sprintf("weft-bench-%d-%d", os.Getpid(), l.n)).CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("runc run: %w: %s", err, out)
		}
		var micro int64
		if _, err := fmt.Sscan(string(out), &micro); err != nil {
			return 0, fmt.Errorf("runc run printed %q", out)
		}
		return time.UnixMicro(micro).Sub(from).Seconds(), nil
	}, nil
}
