package weft

import (
	"regexp"
	"strings"

	"github.com/distribution/reference"
)

// EmbeddedRegistry is the registry that images in old plans name when they mean the
// one that Weft itself serves, wherever that listens.
const EmbeddedRegistry = "localhost:30503"

// Limits of an image name, in characters.
const (
	maxImageRepository = 512
	maxImageTag        = 128
)

// An Image names a container image by repository and tag, as in
// "localhost:30503/trainer:v1". A tag may come to mean another image; a Run
// records the digest it ran.
type Image struct {
	Repository string // with the registry, when one is named
	Tag        string
}

var repositoryPath = regexp.MustCompile(`^[a-z0-9_./-]{2,255}$`)

// ParseImage reads "repository[:tag]". A missing tag means latest. A digest is
// refused, as the knit command refuses it; so is a repository of one character.
func ParseImage(s string) (Image, error) {
	bad := func(why string) (Image, error) {
		return Image{}, Errorf(Invalid, "image %q %s", clip(s), why).WithAdvice("write it as repository:tag, like localhost:30503/trainer:v1")
	}
	ref, err := reference.Parse(s)
	if err != nil {
		return bad("is not an image name")
	}
	if _, ok := ref.(reference.Digested); ok {
		return bad("names a digest; a plan names a tag, and each run records the digest it ran")
	}
	named, ok := ref.(reference.Named)
	if !ok {
		return bad("is not an image name")
	}
	img := Image{Repository: named.Name(), Tag: "latest"}
	if t, ok := ref.(reference.Tagged); ok {
		img.Tag = t.Tag()
	}
	_, path := img.split()
	switch {
	case !repositoryPath.MatchString(path):
		return bad("needs a repository of 2 to 255 characters")
	case len(img.Repository) > maxImageRepository || len(img.Tag) > maxImageTag:
		return bad("is too long")
	}
	return img, nil
}

func (i Image) String() string { return i.Repository + ":" + i.Tag }

// IsZero reports whether the image was never set, as in built-in Plans.
func (i Image) IsZero() bool { return i == Image{} }

// Registry returns the host (and port) that the name begins with, or "".
func (i Image) Registry() string { host, _ := i.split(); return host }

// Path returns the repository without the registry.
func (i Image) Path() string { _, path := i.split(); return path }

// split tells a registry from a first path element as Docker does: a registry has
// a dot or a colon, or is localhost.
func (i Image) split() (host, path string) {
	first, rest, ok := strings.Cut(i.Repository, "/")
	if ok && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return first, rest
	}
	return "", i.Repository
}
