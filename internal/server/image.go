package server

import (
	"context"
	"iter"
	"net/http"
	"reflect"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

const imagePage = 100 // names read at once

// imageRoutes declares what is done with the images of the embedded registry, beside
// the registry's own protocol.
func (s *Server) imageRoutes() {
	s.stream(streamed{
		route: route{method: http.MethodGet, path: "/api/images", id: "list-images", summary: "List the images in the embedded registry", verb: weft.Read, kind: "image"},
		gives: "application/json", givesA: reflect.TypeFor[[]api.Image](),
	}, s.listImages)
	handle(s, route{method: http.MethodDelete, path: "/api/images", id: "delete-image", summary: "Remove a tag from the embedded registry", verb: weft.Delete, kind: "image", status: http.StatusNoContent}, s.deleteImage)
}

func (s *Server) listImages(w http.ResponseWriter, r *http.Request) error {
	return writeList(w, s.images(r.Context()), encoded(func(i api.Image) api.Image { return i }))
}

// images yields every tag of every repository of the request's project.
func (s *Server) images(ctx context.Context) iter.Seq2[api.Image, error] {
	project := principal(ctx).Project
	return func(yield func(api.Image, error) bool) {
		repos := pages(func(after string) ([]string, error) { return s.Store.Repositories(ctx, project, after, imagePage) })
		for repo, err := range repos {
			if err != nil {
				yield(api.Image{}, err)
				return
			}
			tags := pages(func(after string) ([]string, error) { return s.Store.Tags(ctx, project, repo, after, imagePage) })
			for tag, err := range tags {
				var img api.Image
				if err == nil {
					img, err = s.image(ctx, project, repo, tag)
				}
				if !yield(img, err) || err != nil {
					return
				}
			}
		}
	}
}

// pages yields names that are read some at a time.
func pages(read func(after string) ([]string, error)) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for after := ""; ; {
			names, err := read(after)
			if err != nil {
				yield("", err)
				return
			}
			for _, name := range names {
				if !yield(name, nil) {
					return
				}
			}
			if len(names) < imagePage {
				return
			}
			after = names[len(names)-1]
		}
	}
}

func (s *Server) image(ctx context.Context, project weft.ProjectID, repo, tag string) (api.Image, error) {
	m, err := s.Store.Manifest(ctx, project, repo, tag)
	if err != nil {
		return api.Image{}, err
	}
	size, err := s.imageSize(ctx, project, repo, m)
	name := weft.Image{Repository: weft.EmbeddedRegistry + "/" + repo, Tag: tag}
	return api.Image{Image: name.String(), Digest: m.Digest.String(), Size: size}, err
}

// imageSize adds up a manifest and all that it refers to, once each.
func (s *Server) imageSize(ctx context.Context, project weft.ProjectID, repo string, m weft.ImageManifest) (int64, error) {
	size := m.Size
	for _, d := range m.Blobs {
		b, ok, err := s.Store.HasBlob(ctx, project, repo, d)
		if err != nil {
			return 0, err
		}
		if ok {
			size += b.Size
		}
	}
	for _, d := range m.Manifests {
		part, err := s.Store.Manifest(ctx, project, repo, d.String())
		if weft.KindOf(err) == weft.NotFound {
			continue // of another platform, and never pushed
		}
		if err != nil {
			return 0, err
		}
		n, err := s.imageSize(ctx, project, repo, part)
		if err != nil {
			return 0, err
		}
		size += n
	}
	return size, nil
}

type deleteImageInput struct {
	Image string `query:"image" required:"true" doc:"repository:tag, as plans name it"`
}

func (s *Server) deleteImage(ctx context.Context, in *deleteImageInput) (*struct{}, error) {
	img, err := weft.ParseImage(in.Image)
	if err != nil {
		return nil, err
	}
	if host := img.Registry(); host != "" && host != weft.EmbeddedRegistry && !s.isOurs(host) {
		return nil, weft.Errorf(weft.NotFound, "image %s is not in the embedded registry", img).
			WithAdvice("images there begin with %s/", weft.EmbeddedRegistry)
	}
	return nil, s.Store.DeleteManifest(ctx, principal(ctx).Project, img.Path(), img.Tag)
}

func (s *Server) isOurs(host string) bool {
	for _, a := range s.RegistryAddresses {
		if a == host {
			return true
		}
	}
	return false
}
