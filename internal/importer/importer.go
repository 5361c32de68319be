package importer

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/content"
)

// A Store keeps imports; the relational store implements it.
type Store interface {
	AddImport(ctx context.Context, i weft.Import) error
	OpenImport(ctx context.Context, project weft.ProjectID, id weft.RunID) (weft.DataID, error)
	EndImport(ctx context.Context, p weft.Push) (weft.DataView, error)
	ExpireImports(ctx context.Context) (int, error)
	ClaimImport(ctx context.Context, lease time.Duration) (weft.Import, bool, error)
	NoteImport(ctx context.Context, i weft.Import, lease time.Duration) error
	FinishImport(ctx context.Context, i weft.Import, p weft.Push) error
	FailImport(ctx context.Context, project weft.ProjectID, id weft.RunID, problem string) error
	Extend(ctx context.Context, pin string, until time.Time) error
	Release(ctx context.Context, pin string) error
}

// Keys sign what the handshake gives out, and know it again.
type Keys interface {
	Sign(purpose string, claims jwt.Claims) (string, error)
	Verify(purpose, token string, claims jwt.Claims) error
}

// Credentials are for a place that asks for them.
type Credentials struct {
	AccessKey string
	SecretKey string
	Endpoint  string // of S3; empty: Amazon's
	Region    string
}

// An Importer does imports. Its methods may be called concurrently.
type Importer struct {
	Store   Store
	Content *content.Dir
	Keys    Keys
	Client  *http.Client // reaches what users name, and nothing that they may not
	Inbox   string       // where handshakes find what was put there
	Roots   []string     // directories below which users may import from
	// Credentials finds those that a project, or the settings, keep under a name.
	Credentials func(ctx context.Context, project weft.ProjectID, name string) (Credentials, error)
	Log         *slog.Logger

	wake chan struct{}
}

// New returns i, ready.
func New(i Importer) *Importer {
	i.wake = make(chan struct{}, 1)
	return &i
}

// Wake gets a value when there is something new to do.
func (im *Importer) Wake() <-chan struct{} { return im.wake }

const (
	leaseFor = time.Minute
	noteEach = 2 * time.Second // how often progress is told, and the lease renewed
	pinFor   = time.Hour
)

// Ask has an import done in the background. What cannot be right is refused at once.
func (im *Importer) Ask(ctx context.Context, i weft.Import) (weft.Import, error) {
	var err error
	if i.From, err = weft.ParseImportSource(i.From); err != nil {
		return i, err
	}
	if _, err := im.sourceOf(ctx, i); err != nil {
		return i, err
	}
	i.ID, i.Data, i.State = weft.NewID[weft.Run](), weft.NewID[weft.Data](), weft.ImportQueued
	i.CreatedAt = time.Now().UTC()
	i.UpdatedAt = i.CreatedAt
	if err := im.Store.AddImport(ctx, i); err != nil {
		return i, err
	}
	select {
	case im.wake <- struct{}{}:
	default:
	}
	return i, nil
}

// Step does one import, if there is one to do, and has handshakes fail whose time is over.
// It is the step of a loop.
func (im *Importer) Step(ctx context.Context) (more bool, err error) {
	if _, err := im.Store.ExpireImports(ctx); err != nil {
		return false, err
	}
	i, found, err := im.Store.ClaimImport(ctx, leaseFor)
	if err != nil || !found {
		return false, err
	}
	err = im.do(ctx, i)
	switch {
	case ctx.Err() != nil: // whoever claims it next begins again; without this only after the lease
		return false, im.Store.NoteImport(context.WithoutCancel(ctx), i, 0)
	case err == nil:
		return true, nil
	case weft.KindOf(err) == weft.Internal:
		im.Log.ErrorContext(ctx, "import failed", "import", i.ID, "error", err)
	}
	err = im.Store.FailImport(ctx, i.Project, i.ID, inWords(err))
	if weft.KindOf(err) == weft.Conflict { // it was cancelled
		err = nil
	}
	return err == nil, err
}

// inWords is what users are told. What is behind an internal error stands in the log.
func inWords(err error) string {
	var e *weft.Error
	if !errors.As(err, &e) {
		return "the server could not do it, and its log says why"
	}
	if e.Advice != "" {
		return e.Message + "; " + e.Advice
	}
	return e.Message
}

// A source is something that can be imported.
type source interface {
	// fetch brings everything in, and returns what the place says is its version.
	fetch(ctx context.Context, job *job) (tree weft.Tree, version string, err error)
}

// sourceOf returns what an import names. Its error tells what is wrong before anything is
// done.
func (im *Importer) sourceOf(ctx context.Context, i weft.Import) (source, error) {
	u, err := url.Parse(i.From)
	if err != nil {
		return nil, weft.Errorf(weft.Invalid, "the source of the import is no URL")
	}
	switch u.Scheme {
	case "file":
		return im.local(u.Path)
	case "s3":
		return im.bucket(ctx, i, u)
	}
	return im.remote(u)
}

// A job is an import under way.
type job struct {
	*Importer
	weft.Import // as it was claimed
	pin         string

	files, bytes, total atomic.Int64
}

func (j *job) until() time.Time { return time.Now().Add(pinFor) }

// progress notes how much has come. It is cheap.
func (j *job) progress(files, bytes int64) {
	j.files.Store(files)
	j.bytes.Store(bytes)
}

// intake begins to bring in files.
func (j *job) intake() *content.Intake {
	in := j.Content.NewIntake(j.pin, j.until())
	in.Progress = j.progress
	return in
}

// do fetches, and records what came.
func (im *Importer) do(ctx context.Context, i weft.Import) (err error) {
	src, err := im.sourceOf(ctx, i)
	if err != nil {
		return err
	}
	within, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	j := &job{Importer: im, Import: i, pin: "import " + i.ID.String()}
	defer func() { // the Data's row holds the content, or nobody wants it
		err = errors.Join(err, im.Store.Release(context.WithoutCancel(ctx), j.pin))
	}()
	rest := j.beat(within, stop)
	tree, version, err := src.fetch(within, j)
	rest()
	if err != nil {
		if cause := context.Cause(within); cause != nil && ctx.Err() == nil {
			return cause
		}
		return err
	}
	return im.Store.FinishImport(ctx, j.Import, weft.Push{
		Project: i.Project, By: i.By, Plan: weft.PlanImported, Run: i.ID, Data: i.Data, Tags: i.Tags, Tree: tree, Pin: j.pin,
		Origin: weft.Origin{URL: i.From, Version: version}, At: time.Now().UTC(),
	})
}

// beat tells how far the job is, and so keeps it, until the function that it returns is
// called. When the import was cancelled it has the job end.
func (j *job) beat(ctx context.Context, end context.CancelCauseFunc) (rest func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(noteEach)
		defer tick.Stop()
		last, extended := j.Import, time.Now()
		for noted := time.Now(); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			now := j.Import
			now.Files, now.Bytes, now.Total = j.files.Load(), j.bytes.Load(), j.total.Load()
			if now.Bytes == last.Bytes && now.Files == last.Files && time.Since(noted) < leaseFor/4 {
				continue
			}
			err := j.Store.NoteImport(ctx, now, leaseFor)
			if err == nil && time.Since(extended) > pinFor/4 {
				err, extended = j.Store.Extend(ctx, j.pin, j.until()), time.Now()
			}
			switch {
			case weft.KindOf(err) == weft.Conflict:
				end(err)
				return
			case err != nil && ctx.Err() == nil:
				j.Log.WarnContext(ctx, "progress of an import was not noted", "import", j.ID, "error", err)
			}
			last, noted = now, time.Now()
		}
	}()
	return func() { cancel(); <-done }
}
