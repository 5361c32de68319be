package server

import (
	"context"
	"net/http"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// removalRoutes declares what makes room.
func (s *Server) removalRoutes() {
	handle(s, route{method: http.MethodDelete, path: "/api/runs/{id}/cascade", id: "remove-cascade", summary: "Delete a run with all that came from it", verb: weft.Delete, kind: "run",
		more: "Refused while one of the runs is under way. What was removed when it breaks off stays removed; asked again, it goes on."}, s.removeCascade)
	handle(s, route{method: http.MethodPost, path: "/api/data/purge", id: "purge-data", summary: "Discard the content of data; tags and lineage stay", verb: weft.Delete, kind: "data",
		more: "What is being made, or read by a run under way, is kept."}, s.purgeData)
}

type removeCascadeInput struct {
	RunPath
	DryRunParam
}

func (s *Server) removeCascade(ctx context.Context, in *removeCascadeInput) (*body[api.Removal], error) {
	id, err := runID(in.ID)
	if err != nil {
		return nil, err
	}
	who := principal(ctx)
	r, err := s.Store.RemoveCascade(ctx, who.Project, id, in.dry, who.ID)
	if err != nil {
		return nil, err
	}
	out := api.Removal{Runs: []api.RunSummary{}, Data: r.Data, Bytes: r.Bytes, Freed: r.Freed}
	for _, v := range r.Runs {
		out.Runs = append(out.Runs, wireRunSummary(v))
	}
	return answer(out, nil)
}

type purgeInput struct {
	DryRunParam
	Body api.PurgeRequest
}

func (s *Server) purgeData(ctx context.Context, in *purgeInput) (*body[api.Purge], error) {
	ids, err := s.toPurge(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	who := principal(ctx)
	p, err := s.Store.Purge(ctx, who.Project, ids, in.dry, who.ID)
	if err != nil {
		return nil, err
	}
	out := api.Purge{Data: []api.PurgedData{}, Bytes: p.Bytes, Freed: p.Freed, Waiting: wireStrings(p.Waiting), Kept: []api.KeptData{}}
	if out.Waiting == nil {
		out.Waiting = []string{}
	}
	for _, d := range p.Data {
		out.Data = append(out.Data, api.PurgedData{KnitID: d.ID.String(), Tags: wireTags(d.Tags), Bytes: d.Bytes})
	}
	for _, k := range p.Kept {
		out.Kept = append(out.Kept, api.KeptData{KnitID: k.Data.String(), Reason: k.Reason})
	}
	return answer(out, nil)
}

// toPurge finds the data that a request is about.
func (s *Server) toPurge(ctx context.Context, r api.PurgeRequest) ([]weft.DataID, error) {
	if len(r.KnitIDs)+len(r.Tags) == 0 && r.OlderThan == "" {
		return nil, weft.Errorf(weft.Invalid, "nothing to purge is named").WithAdvice("give knitIds, tags or olderThan")
	}
	var ids []weft.DataID
	for _, text := range r.KnitIDs {
		id, err := weft.ParseID[weft.Data](text)
		if err != nil {
			return nil, weft.Errorf(weft.NotFound, "data %s", err)
		}
		ids = append(ids, id)
	}
	if len(r.Tags) == 0 && r.OlderThan == "" {
		return ids, nil
	}
	project := principal(ctx).Project
	q := weft.DataQuery{Project: project}
	var err error
	if q.Tags, err = domainTags(r.Tags); err != nil {
		return nil, err
	}
	if r.OlderThan != "" {
		age, err := weft.ParseSpan(r.OlderThan)
		if err != nil || age < 0 {
			return nil, weft.Errorf(weft.Invalid, "olderThan: %q is not a length of time", r.OlderThan).WithAdvice("write it like 36h or 90d")
		}
		q.Until = time.Now().Add(-age)
	}
	for v, err := range s.Store.FindData(ctx, q) {
		if err != nil {
			return nil, err
		}
		d := v.Data
		if d.Project == project && d.Purged.IsZero() && !d.Tree.IsZero() {
			ids = append(ids, d.ID)
		}
	}
	return ids, nil
}
