package server

import (
	"encoding/json"
	"net/http"
	"net/url"
	"path"
	"reflect"
	"strings"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// verifyEvery is how often a verification says how far it has come.
const verifyEvery = 200 * time.Millisecond

// fileRoutes declares what is done with the files of Data.
func (s *Server) fileRoutes() {
	bytes := "application/octet-stream"
	s.stream(streamed{
		route: route{method: http.MethodGet, path: "/api/data/{id}/files", id: "list-files", summary: "List the files of data", verb: weft.Read, kind: "data"},
		gives: "application/json", givesA: reflect.TypeFor[api.FileList](),
	}, s.listFiles)
	s.stream(streamed{
		route: route{method: http.MethodGet, path: "/api/data/{id}/files/{path...}", id: "get-file", summary: "Read one file of data", verb: weft.Read, kind: "data",
			more: "The path has any number of segments, each escaped by itself. Range is understood."},
		gives: bytes,
	}, s.getFile)
	s.stream(streamed{
		route: route{method: http.MethodPost, path: "/api/data/{id}/verify", id: "verify-data", summary: "Compare every file of data with its digest", verb: weft.Read, kind: "data",
			more: "Answers one JSON object a line: progress, and last the result."},
		gives: "application/x-ndjson", givesA: reflect.TypeFor[api.VerifyStep](),
	}, s.verifyData)
	s.stream(streamed{
		route: route{method: http.MethodGet, path: "/api/data/{id}/manifest", id: "get-manifest", summary: "Get the manifest of data", verb: weft.Read, kind: "data",
			more: "Its SHA-256 is the digest of the data."},
		gives: "text/plain",
	}, s.getManifest)
	s.stream(streamed{
		route: route{method: http.MethodGet, path: "/api/data/{id}/blobs/{digest}", id: "get-blob", summary: "Read the content of a file by digest", verb: weft.Read, kind: "data",
			more: "Range is understood."},
		gives: bytes,
	}, s.getBlob)
	s.stream(streamed{
		route: route{method: http.MethodPost, path: "/api/data/{id}/batch", id: "get-batch", summary: "Read the contents of several files", verb: weft.Read, kind: "data",
			more: "In the order in which they are asked for, as frames (docs/api.md says what these are)."},
		takes: "application/json", takesA: reflect.TypeFor[api.BatchRequest](), gives: api.FrameType,
	}, s.getBatch)
}

func (s *Server) listFiles(w http.ResponseWriter, r *http.Request) error {
	d, err := s.treeOf(r)
	if err != nil {
		return err
	}
	m, err := s.trees.read(r.Context(), d.Tree)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	j := newJSONWriter(w)
	j.raw(`{"digest":` + quoted(d.Tree.String()) + `,"files":`)
	if err := array(j, m.Entries, encoded(wireFile)); err != nil {
		return err
	}
	j.raw("}\n")
	return j.w.Flush()
}

func (s *Server) getFile(w http.ResponseWriter, r *http.Request) error {
	m, err := s.manifestOf(r)
	if err != nil {
		return err
	}
	name, err := filePath(r.URL)
	if err != nil {
		return err
	}
	e, ok := m.Find(name)
	switch {
	case !ok:
		return weft.Errorf(weft.NotFound, "data %s has no file %q", r.PathValue("id"), name)
	case e.Kind == weft.Folder:
		return weft.Errorf(weft.Invalid, "%q is a directory", name).WithAdvice("ask for a file in it")
	case e.Kind == weft.Symlink:
		return weft.Errorf(weft.Invalid, "%q is a symbolic link to %q", name, e.Target).WithAdvice("ask for the file it points to")
	}
	return s.serveBlob(w, r, e.Digest, path.Base(name))
}

// filePath returns what follows /api/data/ID/files/. It may be any bytes.
func filePath(u *url.URL) (string, error) {
	const before = 5 // "", api, data, ID, files
	parts := strings.SplitN(u.EscapedPath(), "/", before+1)
	name, err := url.PathUnescape(parts[before])
	if err != nil {
		return "", weft.Errorf(weft.Invalid, "the path is not escaped well")
	}
	return name, nil
}

// serveBlob sends a content, or the parts of it that are asked for. What users put
// into files must not run in the browsers of others, so it is never more than bytes.
func (s *Server) serveBlob(w http.ResponseWriter, r *http.Request, d weft.Digest, name string) error {
	f, _, err := s.Content.OpenBlob(r.Context(), d)
	if err != nil {
		return err
	}
	defer f.Close()
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Content-Disposition", "attachment; filename*=UTF-8''"+url.PathEscape(name))
	h.Set("Etag", `"`+d.String()+`"`)
	http.ServeContent(w, r, "", time.Time{}, f)
	return nil
}

func (s *Server) verifyData(w http.ResponseWriter, r *http.Request) error {
	d, err := s.treeOf(r)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc, rc := json.NewEncoder(w), http.NewResponseController(w)
	step := api.VerifyStep{Total: d.Bytes}
	var problems []api.Problem
	said := time.Now()
	err = s.Content.Verify(r.Context(), d.Tree, func(done, total int64) {
		step.Files++
		step.Bytes, step.Total = done, total
		if now := time.Now(); now.Sub(said) >= verifyEvery {
			said = now
			if enc.Encode(step) == nil { // an error shows again at the end
				_ = rc.Flush()
			}
		}
	}, func(path, reason string) {
		problems = append(problems, api.Problem{Path: path, Message: reason})
	})
	step.Done, step.Problems = true, problems
	if err != nil {
		step.Error = &s.fail(r.Context(), err).wireError
	}
	return enc.Encode(step)
}

func (s *Server) getManifest(w http.ResponseWriter, r *http.Request) error {
	d, err := s.treeOf(r)
	if err != nil {
		return err
	}
	f, _, err := s.Content.OpenBlob(r.Context(), d.Tree)
	if err != nil {
		return err
	}
	defer f.Close()
	w.Header().Set("Content-Type", "text/plain; charset=us-ascii")
	w.Header().Set("Etag", `"`+d.Tree.String()+`"`)
	http.ServeContent(w, r, "", time.Time{}, f)
	return nil
}

func (s *Server) getBlob(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.treeOf(r); err != nil {
		return err
	}
	d, err := weft.ParseDigest(r.PathValue("digest"))
	if err != nil {
		return err
	}
	if err := s.mayRead(r, []weft.Digest{d}); err != nil {
		return err
	}
	return s.serveBlob(w, r, d, d.Hex())
}

// mayRead refuses contents that no Data of the project has: to know a digest is not a
// right. It says the same whether such a content exists or not.
func (s *Server) mayRead(r *http.Request, digests []weft.Digest) error {
	ok, err := s.Store.Readable(r.Context(), principal(r.Context()).Project, digests)
	if err != nil {
		return err
	}
	for i := range ok {
		if !ok[i] {
			return weft.Errorf(weft.NotFound, "no data has the content %s", digests[i])
		}
	}
	return nil
}

func (s *Server) getBatch(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.treeOf(r); err != nil {
		return err
	}
	var in api.BatchRequest
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	digests := make([]weft.Digest, len(in.Digests))
	for i, text := range in.Digests {
		var err error
		if digests[i], err = weft.ParseDigest(text); err != nil {
			return err
		}
	}
	if err := s.mayRead(r, digests); err != nil {
		return err
	}
	w.Header().Set("Content-Type", api.FrameType)
	frames := api.NewFrameWriter(w)
	for _, d := range digests {
		f, size, err := s.Content.OpenBlob(r.Context(), d)
		if err != nil {
			return frames.Fail(s.fail(r.Context(), err).Message)
		}
		err = frames.File(d, size, f)
		f.Close() // it was only read
		if err != nil {
			return err
		}
	}
	return frames.Close()
}
