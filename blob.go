package weft

// A Blob is some bytes in the content store, under their digest: a file of a Data, a
// manifest, or a part of an image. It is collected once nothing refers to it.
type Blob struct {
	Digest Digest
	Size   int64
}

// A BlobState is what the database knows of a blob's bytes. Whoever will refer to a
// blob reserves it first, which pins it; only then may he rely on its bytes or put
// them. See package content for the whole protocol.
type BlobState int

const (
	BlobAbsent   BlobState = iota // pinned, but its bytes must be put and confirmed
	BlobPresent                   // pinned, and its bytes are there
	BlobDeleting                  // not pinned: it is being removed; reserve again shortly
)

// A Tree is a sealed directory: its manifest's digest and what it adds up to.
type Tree struct {
	Digest Digest
	Files  int64
	Bytes  int64
}

// An ImageManifest is what the registry knows of a manifest or an index of images.
type ImageManifest struct {
	Digest       Digest
	MediaType    string
	Size         int64
	Blobs        []Digest  // config and layers
	Manifests    []Digest  // of an index
	Subject      Digest    // what it refers to, by SHA-256; zero for most
	Subject512   Digest512 // what it refers to, when it says so by SHA-512
	ArtifactType string
}
