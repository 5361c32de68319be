package api

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A DataQuery selects data. Conditions combine by and; zero ones do not count.
type DataQuery struct {
	Tags     []string // key:value; has all of them
	Since    time.Time
	Duration time.Duration // needs Since
	More     url.Values    // further conditions, as of a kept Search
	Page     Page
}

// Values returns the conditions as a Search keeps them.
func (q DataQuery) Values() url.Values {
	return url.Values(params{}.all("tag", q.Tags).span(q.Since, q.Duration).more(q.More))
}

// FindData yields the data that a query selects, in order of timestamp.
func (c *Client) FindData(ctx context.Context, q DataQuery) iter.Seq2[DataDetail, error] {
	p := params(q.Values()).page(q.Page)
	return list[DataDetail](ctx, c, request{path: "/api/data", query: url.Values(p)}, "")
}

// Data returns one data.
func (c *Client) Data(ctx context.Context, id string) (DataDetail, error) {
	return call[DataDetail](ctx, c, request{path: at("data", id, "detail")})
}

// TagData changes the tags of a data.
func (c *Client) TagData(ctx context.Context, id string, change TagChange) (DataDetail, error) {
	return call[DataDetail](ctx, c, request{method: http.MethodPut, path: at("data", id), json: change})
}

// WouldTagData tells which runs TagData would make.
func (c *Client) WouldTagData(ctx context.Context, id string, change TagChange) (DryRun, error) {
	return call[DryRun](ctx, c, request{method: http.MethodPut, path: at("data", id), query: dryRun(), json: change})
}

// WouldPushData tells which runs a push of a data with these tags would make.
func (c *Client) WouldPushData(ctx context.Context, tags []Tag) (DryRun, error) {
	return call[DryRun](ctx, c, request{method: http.MethodPost, path: at("data", "preview"), json: DataTags{tags}})
}

func dryRun() url.Values { return url.Values{"dry_run": {"true"}} }

// A LineageQuery asks for the history around a data: both directions when neither
// is named, without end when Depth is 0.
type LineageQuery struct {
	Upstream   bool
	Downstream bool
	Depth      int // steps from data to data
}

// Lineage returns the history around a data.
func (c *Client) Lineage(ctx context.Context, id string, q LineageQuery) (Lineage, error) {
	p := params{}.flag("upstream", q.Upstream).flag("downstream", q.Downstream).number("depth", q.Depth)
	return call[Lineage](ctx, c, request{path: at("data", id, "lineage"), query: url.Values(p)})
}

// Files yields the files, directories and links of a data, sorted by path.
func (c *Client) Files(ctx context.Context, id string) iter.Seq2[File, error] {
	return list[File](ctx, c, request{path: at("data", id, "files")}, "files")
}

// File returns the content of one file of a data from an offset on.
func (c *Client) File(ctx context.Context, id, path string, offset int64) (io.ReadCloser, error) {
	parts := append([]string{"data", id, "files"}, strings.Split(path, "/")...)
	return c.stream(ctx, request{path: at(parts...), header: fromOffset(offset)})
}

func fromOffset(offset int64) http.Header {
	if offset == 0 {
		return nil
	}
	return http.Header{"Range": {fmt.Sprintf("bytes=%d-", offset)}}
}

// Verify has every file of a data compared with its digest, and yields the progress
// and, last, the result.
func (c *Client) Verify(ctx context.Context, id string) iter.Seq2[VerifyStep, error] {
	return func(yield func(VerifyStep, error) bool) {
		body, err := c.stream(ctx, request{method: http.MethodPost, path: at("data", id, "verify")})
		if err != nil {
			yield(VerifyStep{}, err)
			return
		}
		defer body.Close()
		for dec := json.NewDecoder(body); ; {
			var step VerifyStep
			if err := dec.Decode(&step); err != nil {
				yield(step, c.broken(ctx, err))
				return
			}
			if step.Error != nil {
				yield(step, step.Error)
				return
			}
			if !yield(step, nil) || step.Done {
				return
			}
		}
	}
}

// Manifest returns the text of a data's manifest, which package weft decodes.
func (c *Client) Manifest(ctx context.Context, id string) (io.ReadCloser, error) {
	return c.stream(ctx, request{path: at("data", id, "manifest")})
}

// Blob returns the content of a file of a data by digest, from an offset on.
func (c *Client) Blob(ctx context.Context, id, digest string, offset int64) (io.ReadCloser, error) {
	return c.stream(ctx, request{path: at("data", id, "blobs", digest), header: fromOffset(offset)})
}

// A Batch is the contents of several files, in the order in which they were asked for.
type Batch struct {
	*FrameReader
	io.Closer
}

// Batch returns the contents of several files of a data in one stream.
func (c *Client) Batch(ctx context.Context, id string, digests []string) (Batch, error) {
	body, err := c.stream(ctx, request{method: http.MethodPost, path: at("data", id, "batch"), json: BatchRequest{digests}})
	if err != nil {
		return Batch{}, err
	}
	return Batch{NewFrameReader(body), body}, nil
}

const (
	archiveType    = "application/tar+gzip"
	archiveTrailer = "X-Checksum-Md5"
)

// PushArchive sends a tar.gz as knit does, and returns the data made of it, which has
// the tags from the beginning.
func (c *Client) PushArchive(ctx context.Context, archive io.Reader, tags ...Tag) (DataDetail, error) {
	q := url.Values{}
	for _, t := range tags {
		q.Add("tag", t.String())
	}
	sum := md5.New()
	trailer := http.Header{archiveTrailer: nil}
	body := &trailed{r: archive, sum: sum, atEnd: func() {
		trailer[archiveTrailer] = []string{hex.EncodeToString(sum.Sum(nil))}
	}}
	req, err := c.build(ctx, request{method: http.MethodPost, path: at("data"), query: q, body: body})
	if err != nil {
		return DataDetail{}, err
	}
	req.Trailer = trailer
	req.Header.Set("Content-Type", archiveType)
	req.Header.Set("Expect", "100-continue")
	res, err := c.http.Do(req)
	if err != nil {
		return DataDetail{}, c.unreached(ctx, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return DataDetail{}, readError(res)
	}
	var d DataDetail
	if err := json.NewDecoder(res.Body).Decode(&d); err != nil {
		return DataDetail{}, c.broken(ctx, err)
	}
	return d, nil
}

// trailed sums what is read, and calls atEnd once at the end.
type trailed struct {
	r     io.Reader
	sum   io.Writer
	atEnd func()
	ended bool
}

func (t *trailed) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.sum.Write(p[:n]) // a hash never fails
	if errors.Is(err, io.EOF) && !t.ended {
		t.ended = true
		t.atEnd()
	}
	return n, err
}

// PullArchive returns a data as a tar.gz. Reading ends with an error when the
// server's checksum differs; a proxy that drops it goes unnoticed.
func (c *Client) PullArchive(ctx context.Context, id string) (io.ReadCloser, error) {
	res, err := c.do(ctx, request{path: at("data", id)})
	if err != nil {
		return nil, err
	}
	return &checked{res: res, r: res.Body, sum: md5.New()}, nil
}
