package exectest

import (
	"strconv"
	"strings"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
)

func image(b *bench) {
	i := Image{Env: []string{"A=image", "B=image"}, WorkDir: "/made/for/it"}
	probe := func(words ...string) executor.Job {
		job := b.jobOf(i, append([]string{"probe"}, words...)...)
		job.Env = []string{"B=job"}
		return job
	}
	for want, words := range map[string][]string{
		"image\n":        {"env", "A"},
		"job\n":          {"env", "B"},
		"/made/for/it\n": {"cwd"},
		"/\n":            {"env", "HOME"},
	} {
		seen, log := b.run(probe(words...))
		b.wantEnd(seen, log, 0, want)
	}
}

// entrypoint expects what Kubernetes does with command and args.
func entrypoint(b *bench) {
	i := Image{Entrypoint: []string{Program, "probe"}, Cmd: []string{"argv", "cmd"}}
	for _, c := range []struct {
		entrypoint, args []string
		want             string
	}{
		{nil, nil, `["/program" "probe" "argv" "cmd"]`},
		{nil, []string{"argv", "args"}, `["/program" "probe" "argv" "args"]`},
		{[]string{Program, "probe", "argv"}, nil, `["/program" "probe" "argv"]`},
		{[]string{Program, "probe", "argv"}, []string{"x"}, `["/program" "probe" "argv" "x"]`},
	} {
		job := b.jobOf(i, c.args...)
		job.Entrypoint = c.entrypoint
		seen, log := b.run(job)
		b.wantEnd(seen, log, 0, c.want)
	}
	if err := b.Start(b.ctx, b.jobOf(Image{Entrypoint: []string{}})); weft.KindOf(err) != weft.Invalid {
		b.Errorf("start without a program: %v; want Invalid", err)
	}
}

// noProgram expects a failure that names what is missing, at once or at the end.
func noProgram(b *bench) {
	job := b.job()
	job.Entrypoint = []string{"/no/such/program"}
	seen, _ := b.run(job)
	if seen.Code != 127 || !strings.Contains(seen.Message, "/no/such/program") {
		b.Errorf("seen %+v; want code 127 and the program's name", seen)
	}
	job = b.job()
	job.Entrypoint = []string{"/etc/passwd"}
	if seen, _ := b.run(job); seen.Code != 126 {
		b.Errorf("seen %+v; want code 126", seen)
	}
	job = b.job()
	job.Entrypoint = []string{"/noformat"}
	seen, log := b.run(job)
	if seen.Code == 0 || !strings.Contains(seen.Message+log, "format") {
		b.Errorf("seen %+v, log %q; want it to say that the format is wrong", seen, log)
	}
}

const (
	passwd = "root:x:0:0:root:/root:/bin/sh\n# comment\nada:x:1234:5678::/home/ada:/bin/sh\n"
	group  = "root:x:0:\nmath:x:5678:\nengines:x:42:bob,ada\nlace:x:43:\n"
)

func user(b *bench) {
	for user, want := range map[string]string{
		"":          "0 0 [] /root\n",
		"ada":       "1234 5678 [42] /home/ada\n",
		"1234":      "1234 5678 [42] /home/ada\n",
		"ada:lace":  "1234 43 [] /home/ada\n",
		"77":        "77 0 [] /\n",
		"77:88":     "77 88 [] /\n",
		"1234:root": "1234 0 [] /home/ada\n",
	} {
		seen, log := b.run(b.jobOf(Image{User: user, Passwd: passwd, Group: group}, "probe", "id"))
		if got := strings.ReplaceAll(log, "[0]", "[]"); seen.Code != 0 || got != want && !sameIDs(log, want) {
			b.Errorf("user %q: %q; want %q; seen %+v", user, log, want, seen)
		}
	}
}

// sameIDs allows the primary group to be among the groups, too.
func sameIDs(got, want string) bool {
	f := strings.Fields(got)
	return len(f) > 2 && strings.Replace(got, "["+f[1]+" ", "[", 1) == want || strings.Replace(got, "["+f[1]+"]", "[]", 1) == want
}

func userUnknown(b *bench) {
	seen, _ := b.run(b.jobOf(Image{User: "bob", Passwd: passwd}, "exit", "0"))
	if seen.Code != 125 || !strings.Contains(seen.Message, "bob") {
		b.Errorf("seen %+v; want code 125 and the user's name", seen)
	}
}

func userCanWrite(b *bench) {
	i := Image{User: "ada", Passwd: passwd, Group: group}
	job := b.jobOf(i, "write", "/out/a=1", "write", "/tmp/b=2", "write", "/dev/shm/c=3", "copy", "/tmp/b=/out/b")
	seen, log := b.run(job)
	b.wantEnd(seen, log, 0)
	if got := b.output(job, 0, "b"); got != "2" {
		b.Errorf("output %q", got)
	}
	if seen, _ := b.run(b.jobOf(i, "probe", "write", "/etc/x")); seen.Code == 0 {
		b.Error("could write to /etc")
	}
}

func inputReadOnly(b *bench) {
	digest := weft.Digest{8}
	b.MakeTree(b, digest, "file", "x")
	for _, file := range []string{"/in/new", "/in/file"} {
		job := b.job("probe", "write", file)
		job.Inputs = []executor.Input{{Path: "/in", Data: weft.NewID[weft.Data](), Tree: digest}}
		seen, log := b.run(job)
		b.wantEnd(seen, log, 1, "read-only file system")
	}
}

func stdoutReopened(b *bench) {
	for _, user := range []string{"", "77"} {
		seen, log := b.run(b.jobOf(Image{User: user}, "probe", "stdout"))
		b.wantEnd(seen, log, 0, "before\nwithin\nerror\nafter\n")
	}
}

// children expects a child that outlives its parent to be ended, and not to keep
// the log open.
func children(b *bench) {
	seen, log := b.run(b.job("probe", "linger"))
	b.wantEnd(seen, log, 0, "started\n")
}

func outOfMemory(b *bench) {
	if !b.limited() {
		return
	}
	job := b.job("probe", "eat")
	var err error
	if job.Resources, err = weft.ParseResources(map[string]string{"memory": "48Mi", "cpu": "1"}); err != nil {
		b.Fatal(err)
	}
	seen, _ := b.run(job)
	if !seen.OOM || seen.Code != 137 {
		b.Errorf("seen %+v; want out of memory", seen)
	}
}

func cpuLimit(b *bench) {
	if !b.limited() {
		return
	}
	job := b.job("probe", "spin", "1s")
	var err error
	if job.Resources, err = weft.ParseResources(map[string]string{"cpu": "200m"}); err != nil {
		b.Fatal(err)
	}
	seen, log := b.run(job)
	b.wantEnd(seen, log, 0)
	if percent, err := strconv.Atoi(strings.TrimSpace(log)); err != nil || percent > 45 {
		b.Errorf("used %s %% of a processor; want about 20", log)
	}
}

func rights(b *bench) {
	seen, log := b.run(b.job("probe", "status"))
	b.wantEnd(seen, log, 0, "NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t00000000a80")
	if strings.Contains(log, "ffff") {
		b.Errorf("has too many capabilities: %s", log)
	}
}
