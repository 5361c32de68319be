package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/content"
	"github.com/weft-dev/weft/internal/engine"
	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/identity"
	"github.com/weft-dev/weft/internal/importer"
	"github.com/weft-dev/weft/internal/registry"
	"github.com/weft-dev/weft/internal/server"
	"github.com/weft-dev/weft/internal/store"
)

// A world is a whole server in this process, but for containers: plans spell in their
// entrypoint what the fake executor does. Any image will do, unless its name contains
// "missing".
type world struct {
	url   string
	token string
	roots string // the directory from which data may be imported
	close func()
}

const (
	testToken    = "the-token-of-this-test"
	testPassword = "the-password-of-hanako"
)

// newWorld starts a server that keeps everything in a directory.
func newWorld(t testing.TB, dir string) *world {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	log := slog.New(slog.DiscardHandler)
	check := func(err error) {
		if err != nil {
			stop()
			t.Fatal(err)
		}
	}
	db, err := store.Open(ctx, "sqlite:"+filepath.Join(dir, "weft.db"), store.Options{Log: log, NoSync: true})
	check(err)
	files, err := content.Open(filepath.Join(dir, "content"), db, log)
	check(err)
	fake := executor.NewFake(executor.FakeOptions{
		Places:   workPlaces{files},
		Capacity: executor.Capacity{Resources: weft.Resources{"cpu": resource.MustParse("64"), "memory": resource.MustParse("64Gi")}, Labels: []weft.Label{{Key: "disk", Value: "fast"}}},
	})
	eng := engine.New(engine.Config{Store: db, Executor: fake, Content: works{files, db}, Images: anyImage{}, Log: log, Holder: "test"})
	_, err = db.EnsureAdmin(ctx, server.HashToken(testToken))
	check(err)
	guard := server.NewGuard(db, nil)
	guard.AcceptSessions(db)
	keys, err := identity.OpenKeys(filepath.Join(dir, "keys.json"))
	check(err)
	signIn, err := identity.New(identity.Config{Store: db, Keys: keys, Settings: identity.Settings{SignIn: identity.DefaultSignIn()}, Getenv: func(string) string { return "" }, Log: log, DevicePause: time.Second})
	check(err)
	hash, err := identity.HashPassword(testPassword)
	check(err)
	if _, err := db.CreateUser(ctx, weft.User{Name: "hanako", Kind: weft.Person}, hash, weft.Member); weft.KindOf(err) != weft.Conflict {
		check(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	images := registry.NewHandler(registry.Config{Catalog: db, Content: files, Log: log,
		Authorise: func(r *http.Request, v weft.Verb) (weft.ProjectID, error) {
			who, err := guard.Authorise(r, v, "image")
			return who.Project, err
		}})
	roots := filepath.Join(dir, "roots")
	check(os.MkdirAll(roots, 0o755))
	bringer := imports{importer.New(importer.Importer{Store: db, Content: files, Keys: keys, Client: http.DefaultClient, Inbox: dir, Roots: []string{roots}, Log: log}), db}
	s := server.New(server.Config{Imports: bringer, Guard: guard, Store: db, Content: archives{files}, Logs: runLogs{fake, files}, Accounts: db, Passwords: passwords{signIn}, Registry: images, SignIn: signIn, Log: log,
		Offer: func(ctx context.Context) (server.Offer, error) {
			c, err := fake.Capacity(ctx)
			return server.Offer{Resources: c.Resources, Labels: c.Labels}, err
		},
		RegistryAddresses: []string{l.Addr().String()}, RunLimit: 100, Version: "v1.2.3"})
	h := &http.Server{Handler: s}
	var running sync.WaitGroup
	running.Go(func() {
		if err := eng.Run(ctx); err != nil {
			t.Errorf("engine: %v", err)
		}
	})
	running.Go(func() {
		if err := engine.Loop(ctx, log, time.Second, bringer.Wake(), bringer.Step); err != nil {
			t.Errorf("imports: %v", err)
		}
	})
	running.Go(func() {
		if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
	return &world{url: "http://" + l.Addr().String(), token: testToken, roots: roots, close: func() {
		stop()
		s.Drain()
		h.Close()
		running.Wait()
		images.Close(context.WithoutCancel(ctx))
		if err := errors.Join(files.Close(), db.Close()); err != nil {
			t.Errorf("close: %v", err)
		}
	}}
}

// imports is what brings data in, as package app has it.
type imports struct {
	*importer.Importer
	*store.Store
}

// anyImage takes every image for there.
type anyImage struct{}

func (anyImage) Resolve(_ context.Context, _ weft.ProjectID, image weft.Image) (weft.Digest, error) {
	if image.Path() == "missing" {
		return weft.Digest{}, weft.Errorf(weft.NotFound, "image %s is not found", image)
	}
	return weft.Manifest{}.Digest(), nil
}

// The following are the content store as each part needs it, as package app has them.

type workPlaces struct{ *content.Dir }

func (p workPlaces) Work(a weft.Attempt, d weft.DataID) string { return p.WorkDir(a, d) }

type archives struct{ *content.Dir }

func (c archives) PutArchive(ctx context.Context, pin string, until time.Time, r io.Reader) (weft.Tree, error) {
	return content.PutTarGz(ctx, c.Dir, pin, until, r)
}

func (c archives) WriteArchive(ctx context.Context, tree weft.Digest, w io.Writer) error {
	m, err := c.ReadManifest(ctx, tree)
	if err != nil {
		return err
	}
	return content.WriteTarGz(ctx, w, m, func(d weft.Digest) (io.ReadCloser, error) {
		f, _, err := c.OpenBlob(ctx, d)
		return f, err
	})
}

func (c archives) Verify(ctx context.Context, tree weft.Digest, progress func(done, total int64), found func(path, problem string)) error {
	problems, err := c.Dir.Verify(ctx, tree, progress)
	for _, p := range problems {
		found(p.Path, p.Reason)
	}
	return err
}

type works struct {
	dir *content.Dir
	db  *store.Store
}

func (w works) Close(_ context.Context, a weft.Attempt) error { return w.dir.CloseWork(a) }

func (w works) Seal(ctx context.Context, r weft.Run) (map[weft.DataID]weft.Tree, []string, error) {
	pin, until := r.Current().String(), time.Now().Add(time.Hour)
	trees := map[weft.DataID]weft.Tree{}
	var problems []string
	for _, id := range r.OutputIDs() {
		var tree weft.Tree
		var found []string
		dir := w.dir.ClosedDir(r.Current(), id)
		_, err := os.Lstat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			tree, err = w.dir.PutManifest(ctx, pin, until, weft.Manifest{})
		case err == nil:
			tree, found, err = w.dir.Seal(ctx, pin, until, dir)
		}
		if err != nil {
			return nil, nil, err
		}
		trees[id], problems = tree, append(problems, found...)
	}
	return trees, problems, nil
}

func (w works) Discard(ctx context.Context, a weft.Attempt) error {
	return errors.Join(w.dir.RemoveWork(a), w.db.Release(ctx, a.String()))
}

func (w works) Works(context.Context) ([]weft.Attempt, error) { return w.dir.ListWork() }

func (w works) Room() error { return w.dir.Room(0) }

type runLogs struct {
	executor executor.Executor
	dir      *content.Dir
}

func (l runLogs) OpenLog(ctx context.Context, r weft.Run, follow bool) (io.ReadCloser, error) {
	log, err := l.executor.Logs(ctx, r.Current(), follow)
	if weft.KindOf(err) != weft.NotFound {
		return log, err
	}
	f, err := os.Open(filepath.Join(l.dir.ClosedDir(r.Current(), r.Log), executor.LogFile))
	if errors.Is(err, fs.ErrNotExist) {
		f, err = os.Open(filepath.Join(l.dir.WorkDir(r.Current(), r.Log), executor.LogFile))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, weft.Errorf(weft.NotFound, "run %s has printed nothing that is there now", r.ID)
	}
	return f, err
}

// passwords are those of accounts, as package app has them.
type passwords struct{ *identity.Service }

func (passwords) HashPassword(password string) (string, error) {
	return identity.HashPassword(password)
}

func (p passwords) CheckPassword(ctx context.Context, name, password, from string) error {
	_, err := p.SignIn(ctx, name, password, from)
	return err
}
