package store

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/weft-dev/weft"
)

// What Plans name and Runs are made of is protected from deletion. A Plan names a tag, by
// which it means the manifest that has it and, if that is an index, those that this lists.
// A Run has the digest of a manifest for one platform.

// refuseUsed refuses the deletion of a tag or, when ref is a digest, of a manifest, with
// a Conflict that says which Plan or Run needs it.
func (t *tx) refuseUsed(ctx context.Context, project weft.ProjectID, repo string, d weft.Digest, ref string) error {
	if _, err := weft.ParseDigest(ref); err != nil {
		return t.refuseNamed(ctx, project, repo, []string{ref})
	}
	above, err := t.closure(ctx, project, repo, d, "SELECT manifest FROM image_ref WHERE project = $1 AND repo = $2 AND kind = 1 AND digest = $3")
	if err != nil {
		return err
	}
	if err := t.refuseTagged(ctx, project, repo, above); err != nil {
		return err
	}
	below, err := t.closure(ctx, project, repo, d, "SELECT digest FROM image_ref WHERE project = $1 AND repo = $2 AND kind = 1 AND manifest = $3")
	if err != nil {
		return err
	}
	return t.refuseRunning(ctx, project, below)
}

// refuseUsedBlob refuses to take a part out of a protected image.
func (t *tx) refuseUsedBlob(ctx context.Context, project weft.ProjectID, repo string, d weft.Digest) error {
	var manifests []weft.Digest
	err := t.rows(ctx, func(r scanner) error {
		var m weft.Digest
		err := r.Scan(&m)
		manifests = append(manifests, m)
		return err
	}, "SELECT DISTINCT manifest FROM image_ref WHERE project = $1 AND repo = $2 AND kind = 0 AND digest = $3", project, repo, d)
	for _, m := range manifests {
		if err == nil {
			err = t.refuseUsed(ctx, project, repo, m, m.String())
		}
	}
	return err
}

// closure returns a manifest and all that are reached from it by a query.
func (t *tx) closure(ctx context.Context, project weft.ProjectID, repo string, d weft.Digest, step string) ([]weft.Digest, error) {
	found := []weft.Digest{d}
	for i := 0; i < len(found); i++ {
		err := t.rows(ctx, func(r scanner) error {
			var next weft.Digest
			err := r.Scan(&next)
			if !slices.Contains(found, next) {
				found = append(found, next)
			}
			return err
		}, step, project, repo, found[i])
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (t *tx) refuseTagged(ctx context.Context, project weft.ProjectID, repo string, manifests []weft.Digest) error {
	for _, d := range manifests {
		tags, err := t.texts(ctx, "SELECT tag FROM image_tag WHERE project = $1 AND repo = $2 AND digest = $3 ORDER BY tag", project, repo, d)
		if err == nil {
			err = t.refuseNamed(ctx, project, repo, tags)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inLike takes the meaning of what LIKE's patterns have from a text: they only narrow down
// what is looked at, so a character more or less does no harm.
var inLike = strings.NewReplacer("%", "_", `\`, "_", "'", "_")

// refuseNamed refuses when a Plan names one of the tags. Deleted ones, and revisions that
// others took the place of, do not count.
func (t *tx) refuseNamed(ctx context.Context, project weft.ProjectID, repo string, tags []string) error {
	for _, tag := range tags {
		err := t.rows(ctx, func(r scanner) error {
			var id weft.PlanID
			var body string
			if err := r.Scan(&id, &body); err != nil {
				return err
			}
			var p planBody
			if err := json.Unmarshal([]byte(body), &p); err != nil {
				return err
			}
			image := weft.Image{Repository: p.Repository, Tag: p.Tag}
			if image.Path() != repo || image.Tag != tag || !t.s.imageHere(image) {
				return nil
			}
			return weft.Errorf(weft.Conflict, "image %s is named by plan %s", image, id).
				WithAdvice("delete the plan first; a tag that is pushed again may replace the image")
		}, "SELECT id, body FROM plan WHERE project = $1 AND state = $3 AND body LIKE $2", project, `%"`+inLike.Replace(tag)+`"%`, int64(weft.PlanLive))
		if err != nil {
			return err
		}
	}
	return nil
}

// usesImage lists the statuses in which a Run has an image and needs it still. Those that
// wait have none yet: their Plan names it.
var usesImage = []weft.Status{weft.Starting, weft.Running}

func (t *tx) refuseRunning(ctx context.Context, project weft.ProjectID, manifests []weft.Digest) error {
	for _, d := range manifests {
		for _, status := range usesImage {
			var id weft.RunID
			found, err := t.row(ctx, "SELECT id FROM run WHERE project = $1 AND status = $2 AND image = $3 LIMIT 1", []any{project, statusCode(status), d}, &id)
			if err != nil {
				return err
			}
			if found {
				return weft.Errorf(weft.Conflict, "image %s is what run %s is made of, which is %s", d, id, status).WithAdvice("wait until it has ended, or stop it")
			}
		}
	}
	return nil
}
