package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/egress"
)

// A page is what a URL of http or https leads to: an archive, which is unpacked, or any
// other file.
type page struct {
	url *url.URL
}

func (im *Importer) remote(u *url.URL) (source, error) { return page{u}, nil }

func (p page) fetch(ctx context.Context, j *job) (tree weft.Tree, version string, err error) {
	watched, alive, done := watch(ctx)
	defer done()
	req, err := http.NewRequestWithContext(watched, http.MethodGet, p.url.String(), nil)
	if err != nil {
		return tree, "", weft.Errorf(weft.Invalid, "the URL cannot be asked for")
	}
	req.Header.Set("Accept-Encoding", "identity") // what is stored is what is there
	resp, err := j.Client.Do(req)
	if err != nil {
		return tree, "", explainRemote(p.url, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return tree, "", weft.Errorf(weft.Invalid, "%s answered %s", p.url.Host, resp.Status).WithAdvice("check the URL, and whether it takes credentials")
	}
	j.total.Store(max(resp.ContentLength, 0))
	in := j.intake()
	defer in.Close()
	body := &brokenOff{r: resp.Body, host: p.url.Host, alive: alive}
	name := nameOf(p.url, resp)
	if end, _ := isArchive(name); end == ".zip" {
		err = j.unzip(ctx, in.Zip, resp.ContentLength, body)
	} else {
		err = takeStream(ctx, in, name, resp.ContentLength, body)
	}
	if body.err != nil {
		err = body.err
	}
	if err == nil {
		tree, err = in.Finish(ctx)
	}
	return tree, versionOf(resp), err
}

// explainRemote says in words why a place was not reached. A refusal by the rules for what
// may be reached says so itself.
func explainRemote(u *url.URL, err error) error {
	err = egress.Cause(err)
	var e *weft.Error
	if errors.As(err, &e) && e.Kind != weft.Internal {
		return e
	}
	return weft.Errorf(weft.Unavailable, "%s cannot be reached: %w", u.Host, err).WithAdvice("check the URL, and try again")
}

// nameOf is the file's name as the answer or the URL tell it.
func nameOf(u *url.URL, resp *http.Response) string {
	name := ""
	if _, params, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition")); err == nil {
		name = path.Base(strings.ReplaceAll(params["filename"], `\`, "/"))
	}
	if name == "" || name == "." || name == "/" || name == ".." {
		name = path.Base(u.Path)
	}
	if name == "" || name == "." || name == "/" || name == ".." {
		name = "file"
	}
	if _, known := isArchive(name); known {
		return name
	}
	end := map[string]string{"application/zip": ".zip", "application/x-tar": ".tar", "application/x-gtar": ".tar", "application/tar+gzip": ".tar.gz"}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")) // what it is not, is no archive
	return name + end[kind]
}

// versionOf is what the answer says about the version of its content.
func versionOf(resp *http.Response) string {
	for _, name := range []string{"Etag", "Last-Modified"} {
		if v := resp.Header.Get(name); v != "" {
			return v
		}
	}
	return ""
}

// unzip keeps a zip in a file while it is read, as its directory is at its end.
func (j *job) unzip(ctx context.Context, take func(context.Context, io.ReaderAt, int64) error, size int64, r io.Reader) (err error) {
	if err := j.Content.Room(max(size, 0)); err != nil {
		return err
	}
	f, err := os.CreateTemp(j.Inbox, ".download-*")
	if err != nil {
		return fmt.Errorf("keep zip: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := os.Remove(f.Name()); err != nil { // a crash leaves nothing
		return fmt.Errorf("keep zip: %w", err)
	}
	n, err := io.Copy(&roomy{f, j.Content.Room, 0}, r)
	if err != nil {
		return fmt.Errorf("keep zip: %w", err)
	}
	return take(ctx, f, n)
}

// roomy writes as long as the disk has room.
type roomy struct {
	io.Writer
	room func(int64) error
	n    int64
}

const lookAfter = 64 << 20 // bytes

func (w *roomy) Write(p []byte) (int, error) {
	if w.n += int64(len(p)); w.n > lookAfter {
		w.n = 0
		if err := w.room(0); err != nil {
			return 0, err
		}
	}
	return w.Writer.Write(p)
}

// stallFor is how long a place may send nothing.
const stallFor = 2 * time.Minute

// watch returns a context that ends when alive has not been called for long, until done is.
func watch(ctx context.Context) (_ context.Context, alive func(), done func()) {
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(stallFor, cancel)
	return ctx, func() { timer.Reset(stallFor) }, func() { timer.Stop(); cancel() }
}

// A brokenOff reader tells a connection that ended early from an archive that is damaged.
type brokenOff struct {
	r     io.Reader
	host  string
	alive func()
	err   error
}

func (b *brokenOff) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.alive()
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = weft.Errorf(weft.Unavailable, "what came from %s broke off: %w", b.host, err).WithAdvice("try again")
		err = b.err
	}
	return n, err
}
