package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// BeginUpload begins a push.
func (c *Client) BeginUpload(ctx context.Context) (Upload, error) {
	return call[Upload](ctx, c, request{method: http.MethodPost, path: at("uploads")})
}

// MissingBlobs asks which contents have to be sent.
func (c *Client) MissingBlobs(ctx context.Context, upload string, blobs []BlobRef) (Missing, error) {
	return call[Missing](ctx, c, request{method: http.MethodPost, path: at("uploads", upload, "missing"), json: MissingRequest{blobs}})
}

// SendBatch sends the contents of several files, which write gives as frames. Many
// batches may be sent at once.
func (c *Client) SendBatch(ctx context.Context, upload string, write func(*FrameWriter) error) (Received, error) {
	r, w := io.Pipe()
	go func() {
		f := NewFrameWriter(w)
		err := write(f)
		if err == nil {
			err = f.Close()
		}
		w.CloseWithError(err)
	}()
	defer r.Close() // ends the writer if the server answers early
	return call[Received](ctx, c, request{
		method: http.MethodPost, path: at("uploads", upload, "files"), body: r,
		header: http.Header{"Content-Type": {FrameType}},
	})
}

// SendFile sends one content of that size (-1: unknown). With the digest "" it is not
// known beforehand; the answer has it.
func (c *Client) SendFile(ctx context.Context, upload, digest string, size int64, content io.Reader) (BlobRef, error) {
	if digest == "" {
		digest = "-"
	}
	header := http.Header{"Content-Type": {"application/octet-stream"}, "Expect": {"100-continue"}}
	if size >= 0 {
		header.Set("X-Content-Size", fmt.Sprint(size))
	}
	return call[BlobRef](ctx, c, request{
		method: http.MethodPut, path: at("uploads", upload, "files", digest),
		body: content, length: size, header: header,
	})
}

// CommitUpload ends a push: the data is there. Repeating it gives the same data.
func (c *Client) CommitUpload(ctx context.Context, upload, manifest string, tags []Tag) (DataDetail, error) {
	return call[DataDetail](ctx, c, request{method: http.MethodPost, path: at("uploads", upload, "commit"), json: Commit{manifest, tags}})
}

// CancelUpload gives a push up.
func (c *Client) CancelUpload(ctx context.Context, upload string) error {
	return c.send(ctx, request{method: http.MethodDelete, path: at("uploads", upload)})
}
