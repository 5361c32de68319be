package cli

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weft-dev/weft"
)

// dockerSave makes what docker save writes: a config, a layer and manifest.json for
// each image, which is named, like "trainer:v1".
func dockerSave(t *testing.T, configs map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(name, text string) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	var list []savedManifest
	for name, config := range configs {
		file := "blobs/sha256/" + strings.ReplaceAll(name, ":", "-")
		add(file, `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers"},"config":`+config+`}`)
		add("layer-of-"+name, "{ not JSON")
		m := savedManifest{Config: file}
		if strings.Contains(name, ":") {
			m.RepoTags = []string{name}
		}
		list = append(list, m)
	}
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	add("manifest.json", string(text))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const trainerConfig = `{
	"Entrypoint": ["python", "train.py", "--data", "/data/in/images", "--labels=in/labels/", "--say", "a \"b\" # c"],
	"Cmd": ["--model", "/out/model"],
	"WorkingDir": "/srv/app",
	"Volumes": {"/data/in": {}, "/var/out/checkpoints": {}, "/var/other": {}}
}`

// template runs the command as a user would and returns what it prints.
func template(t *testing.T, dir string, in []byte, args ...string) (string, string, int) {
	t.Helper()
	var out, errs bytes.Buffer
	env := Env{In: bytes.NewReader(in), Out: &out, Err: &errs, Dir: dir, Getenv: func(string) string { return "" }}
	code := Main(t.Context(), env, append([]string{"plan", "template"}, args...))
	return out.String(), errs.String(), code
}

func TestPlanTemplate(t *testing.T) {
	t.Parallel()
	withEnv := t.TempDir()
	if err := os.WriteFile(filepath.Join(withEnv, "knitenv"), []byte("tag: [project:digits, 'knit#id:x']\nresource: {nvidia.com/gpu: 1, memory: 2Gi}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	trainer := dockerSave(t, map[string]string{"localhost:30503/trainer:v1": trainerConfig})
	for _, c := range []struct {
		name, dir string
		in        []byte
		args      []string
	}{
		{"scratch", t.TempDir(), nil, []string{"--scratch"}},
		{"scratch-knitenv", withEnv, nil, []string{"--scratch"}},
		{"image", t.TempDir(), trainer, nil},
		{"image-knitenv", withEnv, compressed(t, trainer), []string{"localhost:30503/trainer:v1"}},
		{"image-nameless", t.TempDir(), dockerSave(t, map[string]string{"nameless": `{}`}), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			text, errs, code := template(t, c.dir, c.in, c.args...)
			if code != 0 {
				t.Fatalf("exit code %d: %s", code, errs)
			}
			golden(t, "template-"+c.name+".yaml", []byte(text))
			applies(t, text)
		})
	}
}

// applies checks that a template is a plan that could be registered as it is.
func applies(t *testing.T, text string) {
	t.Helper()
	spec, err := readPlanFile("template", strings.NewReader(text))
	if err != nil {
		t.Fatalf("cannot be applied as it is: %v", err)
	}
	plan, err := planOf(spec)
	if err != nil {
		t.Fatal(err)
	}
	plan.ID = weft.NewID[weft.Plan]()
	if loop := weft.NewPlanGraph().Cycle(plan.Normalize()); loop != nil {
		t.Error("cannot be applied as it is: it feeds itself")
	}
}

func compressed(t *testing.T, b []byte) []byte {
	t.Helper()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return z.Bytes()
}

func TestPlanTemplateKeepsWords(t *testing.T) {
	t.Parallel()
	words := []string{"a b", `"`, "'", "#", "x: y", "", "-", "ü", "<&>", "line\nbreak", "\\", "{}", "1.10", "true", "~"}
	config, err := json.Marshal(map[string][]string{"Entrypoint": words, "Cmd": words})
	if err != nil {
		t.Fatal(err)
	}
	text, errs, code := template(t, t.TempDir(), dockerSave(t, map[string]string{"a/b:c": string(config)}))
	if code != 0 {
		t.Fatal(errs)
	}
	spec, err := readPlanFile("template", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(spec.Entrypoint, words) || !slices.Equal(spec.Args, words) {
		t.Errorf("words have changed: %s", cmp.Diff(words, spec.Entrypoint))
	}
}

func TestPlanTemplateRefusals(t *testing.T) {
	t.Parallel()
	two := dockerSave(t, map[string]string{"aa:1": `{}`, "bb:2": `{}`})
	for _, c := range []struct {
		name string
		in   []byte
		args []string
		code int
		says string
	}{
		{"scratch with an image", nil, []string{"--scratch", "a/b:c"}, exitUsage, "--scratch takes no image"},
		{"two images, none named", two, nil, 3, "there are 2 images"},
		{"not there", two, []string{"cc:3"}, 4, "image not found: cc:3"},
		{"no archive", []byte("hello"), nil, 3, "not an image archive"},
		{"no image", dockerSave(t, nil), nil, 3, "there is no image"},
		{"cut off", two[:len(two)/2+100], nil, 3, "not an image archive"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, errs, code := template(t, t.TempDir(), c.in, c.args...)
			if code != c.code || !strings.Contains(errs, c.says) {
				t.Errorf("exit code %d (want %d): %s", code, c.code, errs)
			}
		})
	}
}
