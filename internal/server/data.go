package server

import (
	"context"
	"iter"
	"net/http"
	"reflect"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// dataRoutes declares what is done with Data, but for their files.
func (s *Server) dataRoutes() {
	s.stream(streamed{
		route: route{method: http.MethodGet, path: "/api/data", id: "find-data", summary: "Find data", verb: weft.Read, kind: "data",
			more: "In order of timestamp, none last, then id. Conditions combine by and."},
		query: append([]param{
			{name: "tag", doc: "key:value that the data has; system tags are allowed", many: true},
			{name: "since", doc: "RFC 3339 with a zone: not older than that"},
			{name: "duration", doc: "like 24h or 300ms: earlier than since plus that; needs since"},
		}, pageParams()...),
		gives: "application/json", givesA: reflect.TypeFor[[]api.DataDetail](),
	}, s.findData)
	s.stream(streamed{
		route: route{method: http.MethodPost, path: "/api/data", id: "push-archive", summary: "Push a tar.gz as data", verb: weft.Create, kind: "data",
			more: "Streamed. If the request has the trailer X-Checksum-Md5, the hexadecimal MD5 of the compressed body, it is compared. A push with the header Idempotency-Key, repeated within a day with the same key and content, is answered with the data that it made."},
		query: []param{{name: "tag", doc: "key:value that the data is to have from the beginning", many: true}},
		takes: archiveType, gives: "application/json", givesA: reflect.TypeFor[api.DataDetail](),
	}, s.pushArchive)
	s.stream(streamed{
		route: route{method: http.MethodGet, path: "/api/data/{id}", id: "pull-archive", summary: "Pull data as a tar.gz", verb: weft.Read, kind: "data"},
		gives: archiveType, announce: archiveTrailer,
	}, s.pullArchive)
	handle(s, route{method: http.MethodPut, path: "/api/data/{id}", id: "tag-data", summary: "Change the tags of data", verb: weft.Change, kind: "data",
		more: "What is removed goes first, then what is added comes."}, s.tagData)
	handle(s, route{method: http.MethodPost, path: "/api/data/preview", id: "preview-push", summary: "Tell which runs a push would make", verb: weft.Read, kind: "data"}, s.previewPush)
	handle(s, route{method: http.MethodGet, path: "/api/data/{id}/detail", id: "get-data", summary: "Get one data", verb: weft.Read, kind: "data"}, s.getData)
	s.stream(streamed{
		route: route{method: http.MethodGet, path: "/api/data/{id}/lineage", id: "get-lineage", summary: "Get the history around data", verb: weft.Read, kind: "data",
			more: "Both directions when neither is asked for."},
		query: []param{{name: "upstream", doc: "true: what it came from"}, {name: "downstream", doc: "true: what was made of it"},
			{name: "depth", doc: "steps from data to data; absent or 0: all"}},
		gives: "application/json", givesA: reflect.TypeFor[api.Lineage](),
	}, s.getLineage)
}

func (s *Server) findData(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	query := weft.DataQuery{Project: principal(r.Context()).Project}
	var err error
	if query.Tags, err = weft.ParseTags(q["tag"]...); err != nil {
		return err
	}
	if query.Since, query.Until, err = spanOf(q); err != nil {
		return err
	}
	page, err := pageOf(q)
	if err != nil {
		return err
	}
	return answerList(w, r, page, func(p weft.Page) iter.Seq2[weft.DataView, error] {
		query.Page = p
		return s.Store.FindData(r.Context(), query)
	}, func(v weft.DataView) string { return v.Next }, newListEncoder().data)
}

// DataPath is the path of operations on one Data.
type DataPath struct {
	ID string `path:"id"`
}

func (s *Server) getData(ctx context.Context, in *DataPath) (*body[api.DataDetail], error) {
	v, err := s.data(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(wireData(v), nil)
}

// data finds a Data of the request's project.
func (s *Server) data(ctx context.Context, id string) (weft.DataView, error) {
	dataID, err := weft.ParseID[weft.Data](id)
	if err != nil {
		return weft.DataView{}, weft.Errorf(weft.NotFound, "data %s", err)
	}
	return s.Store.Data(ctx, principal(ctx).Project, dataID)
}

type tagDataInput struct {
	DataPath
	DryRunParam
	Body api.TagChange
}

func (s *Server) tagData(ctx context.Context, in *tagDataInput) (*body[changed[api.DataDetail]], error) {
	change, err := domainTagChange(in.Body)
	if err != nil {
		return nil, err
	}
	id, err := weft.ParseID[weft.Data](in.ID)
	if err != nil {
		return nil, weft.Errorf(weft.NotFound, "data %s", err)
	}
	p := principal(ctx)
	if in.dry {
		v, err := s.Store.Data(ctx, p.Project, id)
		if err != nil {
			return nil, err
		}
		plans, err := s.Store.WouldRunData(ctx, p.Project, id, change.Apply(v.Data.Tags), dryRunFirst)
		return answer(changed[api.DataDetail]{would: s.would(plans)}, err)
	}
	v, err := s.Store.TagData(ctx, p.Project, id, change, p.ID)
	if err != nil {
		return nil, err
	}
	return did(wireData(v), nil)
}

type previewInput struct{ Body api.DataTags }

func (s *Server) previewPush(ctx context.Context, in *previewInput) (*body[api.DryRun], error) {
	change, err := domainTagChange(api.TagChange{Add: in.Body.Tags}) // refuses system tags
	if err != nil {
		return nil, err
	}
	plans, err := s.Store.WouldRunData(ctx, principal(ctx).Project, weft.DataID{}, change.Add, dryRunFirst)
	return answer(wireDryRun(plans, s.RunLimit), err)
}

func (s *Server) getLineage(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	d, err := s.data(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	query := weft.LineageQuery{Project: principal(r.Context()).Project, Start: d.Data.ID}
	if query.Upstream, query.Downstream, query.Depth, err = walkOf(q); err != nil {
		return err
	}
	if query.After, err = s.Store.LastCursor(r.Context()); err != nil {
		return err
	}
	l, err := s.Store.Lineage(r.Context(), query)
	if err != nil {
		return err
	}
	return writeLineage(w, l)
}

// writeLineage sends a Lineage piece by piece.
func writeLineage(w http.ResponseWriter, l weft.Lineage) error {
	w.Header().Set("Content-Type", "application/json")
	j, enc := newJSONWriter(w), newListEncoder()
	j.raw(`{"start":` + quoted(l.Start.String()) + `,"data":`)
	err := array(j, l.Data, func(b []byte, d weft.Data) []byte {
		b = enc.lineageData(b, d)
		if o, imported := l.Origins[d.ID]; imported {
			b = append(appendValue(append(b[:len(b)-1], `,"origin":`...), wireOrigin(o)), '}')
		}
		return b
	})
	if err != nil {
		return err
	}
	j.raw(`,"runs":`)
	err = array(j, l.Runs, func(b []byte, r weft.Run) []byte {
		return enc.run(b, weft.RunView{Run: r, Plan: l.Plans[r.Plan]})
	})
	if err != nil {
		return err
	}
	j.raw("}\n")
	return j.w.Flush()
}
