package api

import (
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
)

// checked reads the body of an answer and compares its sum with the trailer.
type checked struct {
	res *http.Response
	r   io.Reader
	sum hash.Hash
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.sum.Write(p[:n]) // a hash never fails
	if errors.Is(err, io.EOF) {
		want := c.res.Trailer.Get(archiveTrailer)
		if want != "" && want != hex.EncodeToString(c.sum.Sum(nil)) {
			return n, &Error{Kind: KindUnavailable, Message: "the archive arrived damaged: its checksum differs\npull it again"}
		}
	}
	return n, err
}

func (c *checked) Close() error { return c.res.Body.Close() }
