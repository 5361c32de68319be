package api

import (
	"encoding/hex"
	"hash"
	"hash/crc32"
)

// An Upload is a push under way by Weft's own protocol: ask which files are missing,
// send those, commit. It expires when nothing is sent for a while; nothing is left
// behind then.
type Upload struct {
	ID         string `json:"id" doc:"for the paths of the other requests"`
	ExpiresAt  Time   `json:"expiresAt" doc:"every request of the upload puts this off"`
	BatchBytes int64  `json:"batchBytes" doc:"a batch should hold about so many bytes"`
	BatchFiles int    `json:"batchFiles" doc:"a batch should hold at most so many files"`
}

// A BlobRef names the content of a file.
type BlobRef struct {
	Digest string `json:"digest" doc:"sha256: and 64 hexadecimal digits"`
	Size   int64  `json:"size" doc:"in bytes"`

	Checksum string `json:"checksum,omitempty" doc:"of what arrived: crc32c: and 8 hexadecimal digits; in answers about content whose digest was not known beforehand"`
}

// NewChecksum returns the check of what is sent before its digest is known: CRC-32C
// (RFC 3720, appendix B.4), which processors compute by themselves. The server takes
// the digest, and so the sender need not, which would cost him as much as all the rest.
func NewChecksum() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }

// ChecksumText is a checksum as a BlobRef has it.
func ChecksumText(sum hash.Hash) string { return "crc32c:" + hex.EncodeToString(sum.Sum(nil)) }

// A MissingRequest asks which contents have to be sent.
type MissingRequest struct {
	Blobs []BlobRef `json:"blobs" doc:"what the data will consist of, the manifest too"`
}

// Missing tells which contents of a MissingRequest have to be sent.
type Missing struct {
	Missing []int `json:"missing" doc:"indices into the request's blobs, ascending"`
}

// Received tells what of a batch has arrived.
type Received struct {
	Files int64 `json:"files" doc:"number of contents"`
	Bytes int64 `json:"bytes" doc:"sum of their sizes"`
}

// A Commit ends an upload. The manifest itself was sent as a file before.
type Commit struct {
	Manifest string `json:"manifest" doc:"digest of the manifest"`
	Tags     []Tag  `json:"tags" doc:"that the data has from the beginning"`
}

// A BatchRequest asks for the contents of several files in one framed stream.
type BatchRequest struct {
	Digests []string `json:"digests" doc:"of files of the data"`
}
