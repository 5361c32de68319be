package registry_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/weft-dev/weft"
)

// A tag, a manifest and a blob can be deleted, which is 202, and are gone then: 404.
func TestDeletionConforms(t *testing.T) {
	conform(t, func(s *system, by algorithm) {
		text := s.pushImageBy(by, "r", "v1", "layer")
		s.do("ann", "PUT", "/v2/r/manifests/v2", text, "Content-Type: "+ociManifest).want(201, "")
		s.do("ann", "PUT", "/v2/r/manifests/"+by.of(text), text, "Content-Type: "+ociManifest).want(201, "")
		gone := func(path, code string) {
			s.t.Helper()
			s.do("ann", "GET", path, "").want(404, code)
			s.do("ann", "HEAD", path, "").want(404, "")
			s.do("ann", "DELETE", path, "").want(404, code)
		}
		// Without a tag the manifest is still there.
		s.do("ann", "DELETE", "/v2/r/manifests/v1", "").want(202, "")
		gone("/v2/r/manifests/v1", "MANIFEST_UNKNOWN")
		s.do("ann", "GET", "/v2/r/manifests/"+by.of(text), "").want(200, "")
		if got := s.do("ann", "GET", "/v2/r/tags/list", "").want(200, "").tags(); strings.Join(got, " ") != "v2" {
			s.t.Errorf("tags are %v", got)
		}
		// Without the manifest its tags are gone too.
		s.do("ann", "DELETE", "/v2/r/manifests/"+by.of(text), "").want(202, "")
		gone("/v2/r/manifests/"+by.of(text), "MANIFEST_UNKNOWN")
		gone("/v2/r/manifests/v2", "MANIFEST_UNKNOWN")
		for _, blob := range []string{"layer", "{}"} {
			s.do("ann", "DELETE", "/v2/r/blobs/"+by.of(blob), "").want(202, "")
			gone("/v2/r/blobs/"+by.of(blob), "BLOB_UNKNOWN")
		}
		gone("/v2/none/manifests/v1", "MANIFEST_UNKNOWN")
		gone("/v2/none/manifests/"+by.of(text), "MANIFEST_UNKNOWN")
		gone("/v2/none/blobs/"+by.of("layer"), "BLOB_UNKNOWN")
		// And all of it can be pushed again.
		s.pushImageBy(by, "r", "v1", "layer")
	})
}

// Deleting takes a right of its own, except for one's own upload.
func TestDeletionTakesRights(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for _, path := range []string{"/v2/r/manifests/v1", "/v2/r/manifests/" + digestOf("x"), "/v2/r/blobs/" + digestOf("x"), "/v2/r/blobs/uploads/x"} {
		s.do("viewer", "DELETE", path, "").want(403, "DENIED")
		s.do("", "DELETE", path, "").want(401, "UNAUTHORIZED")
	}
}

// What a Plan names cannot be deleted; the answer says which plan. A push of the tag is
// allowed.
func TestImagesOfPlansStay(t *testing.T) {
	eachDatabase(t, func(s *system) {
		ctx := s.t.Context()
		project, err := s.catalog.DefaultProject(ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		s.projects = map[string]weft.ProjectID{"ann": project.ID}
		image, err := weft.ParseImage(weft.EmbeddedRegistry + "/team/app:v1")
		if err != nil {
			s.t.Fatal(err)
		}
		plan := weft.Plan{
			ID: weft.NewID[weft.Plan](), Project: project.ID, Image: image, Active: true, CreatedAt: time.Now(),
			Inputs:  []weft.Input{{Path: "/in", Tags: tags(s, "type:csv")}},
			Outputs: []weft.Output{{Path: "/out", Tags: tags(s, "type:model")}},
		}
		if _, err := s.catalog.CreatePlan(ctx, plan, weft.PrincipalID{}); err != nil {
			s.t.Fatal(err)
		}
		d := s.pushManifest("ann", "team/app", "v1", "layer")
		for _, path := range []string{"manifests/v1", "manifests/" + d, "blobs/" + digestOf("layer")} {
			a := s.do("ann", "DELETE", "/v2/team/app/"+path, "").want(409, plan.ID.String())
			if got := a.errorCodes(); got != "DENIED" {
				s.t.Errorf("%s: %s", path, got)
			}
			s.do("ann", "HEAD", "/v2/team/app/"+path, "").want(200, "")
		}
		s.pushManifest("ann", "team/app", "v1", "newer layer")
		s.do("ann", "DELETE", "/v2/team/app/manifests/"+d, "").want(202, "") // no tag means it any more
	})
}

// A push goes through while everything that nothing needs is collected all the time.
func TestCollectionDoesNotRacePushes(t *testing.T) {
	eachDatabase(t, func(s *system) {
		ctx, stop := context.WithCancel(s.t.Context())
		done := make(chan error, 1)
		go func() {
			for ctx.Err() == nil {
				// Nothing is kept longer than a push needs from one request to the next.
				_, _, err := s.catalog.CollectImages(ctx, time.Minute, time.Minute)
				if err == nil {
					_, err = s.content.Collect(ctx, 0)
				}
				if err != nil && ctx.Err() == nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		for i := range 20 {
			s.pushManifest("ann", "r", "v1", strings.Repeat("layer ", i%3+1))
			s.do("ann", "GET", "/v2/r/manifests/v1", "").want(200, "")
			if i%4 == 3 {
				d := digestOf(imageManifest(strings.Repeat("layer ", i%3+1)))
				s.do("ann", "DELETE", "/v2/r/manifests/"+d, "").want(202, "")
			}
		}
		stop()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
}

func tags(s *system, list ...string) weft.Tags {
	s.t.Helper()
	ts, err := weft.ParseTags(list...)
	if err != nil {
		s.t.Fatal(err)
	}
	return ts
}
