// Package registry is the image registry that Weft has built in, and the way from
// the name of an image to directories that a container can be made of.
//
// Handler speaks the OCI distribution protocol (version 1.1) under /v2/. The bytes
// of manifests, configurations and layers are blobs of the content store, beside
// the files of Data; the Catalog, which the relational store implements, knows
// which of them are in which repository. Repositories belong to projects.
//
// # A digest is not a right
//
// A blob is served, mounted and named by a manifest only through the row (project,
// repository, digest) that a push or an authorised mount made. Who knows a digest
// from elsewhere gets the same answer as for one that does not exist; to use it he
// must send the bytes, which are then deduplicated.
//
// # Pins
//
// Collection of what nothing refers to goes on at any time. So every push takes a
// pin on its blob before it relies on the bytes, the Catalog's row replaces the
// pin, and then the pin is released. A push that dies leaves a pin that expires.
//
// # From a name to a root file system
//
// Images.Resolve turns a plan's image name into the digest of the manifest for this
// platform, pulling from other registries what is not here yet. Layers.Unpack turns
// the digest into one directory per layer, unpacked once and shared by all
// containers as the lower directories of an overlay.
package registry
