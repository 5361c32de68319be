package server

import (
	"context"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// A route declares one operation of the API: what the OpenAPI document says of it,
// and which right it takes.
type route struct {
	method  string
	path    string // a last {path...} stands for any number of segments
	id      string // operationId
	summary string
	more    string // description

	verb weft.Verb
	kind string                                                   // of the object: "data", "plan", "run", "image", "event", "system"; "" is open to everyone
	of   func(*http.Request, weft.Principal) (weft.Object, error) // the object itself; nil: what is of that kind in the request's project
	part bool                                                     // of a change that another request ends, which the audit log then tells of

	status int // of success; 0 is 200
}

const (
	maxBody    = 64 << 20 // bytes of a JSON body
	metaAccess = "access"
)

// operation makes the entry of the document.
func (rt route) operation() huma.Operation {
	op := huma.Operation{
		Method: rt.method, Path: strings.Replace(rt.path, "...}", "}", 1),
		OperationID: rt.id, Summary: rt.summary, Description: rt.more,
		DefaultStatus: rt.status, MaxBodyBytes: maxBody,
		BodyReadTimeout:  -1, // stalled bodies are cut off by the middleware
		SkipValidateBody: true, SkipValidateParams: true,
		Metadata: map[string]any{metaAccess: rt},
	}
	if rt.kind != "" {
		op.Tags = []string{rt.kind}
		op.Security = []map[string][]string{{"bearer": {}}, {"basic": {}}}
	}
	return op
}

// handle adds an operation that takes and gives JSON.
func handle[In, Out any](s *Server, rt route, act func(context.Context, *In) (*Out, error)) {
	huma.Register(s.huma, rt.operation(), func(ctx context.Context, in *In) (*Out, error) {
		out, err := act(ctx, in)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return out, nil
	})
}

// A body is the output of an operation that answers with JSON.
type body[T any] struct{ Body T }

// answer makes the output of an operation.
func answer[T any](v T, err error) (*body[T], error) {
	if err != nil {
		return nil, err
	}
	return &body[T]{v}, nil
}

// A streamed operation says in the document what its handler reads and writes.
type streamed struct {
	route
	query    []param
	takes    string       // content type of the request's body; "" is none
	takesA   reflect.Type // of a JSON body; nil is bytes
	gives    string       // content type of the answer
	givesA   reflect.Type // of a JSON answer; nil is bytes
	announce string       // trailer of the answer, if any
}

// A param is a query parameter.
type param struct {
	name string
	doc  string
	many bool // may be given several times
}

// stream adds an operation that reads or writes as it goes. An error that act returns
// before it has written anything becomes the answer; later the connection is cut, so
// that the client sees that the answer is not whole.
func (s *Server) stream(d streamed, act func(w http.ResponseWriter, r *http.Request) error) {
	op := d.operation()
	for _, segment := range strings.Split(op.Path, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			op.Parameters = append(op.Parameters, &huma.Param{
				Name: strings.TrimSuffix(name, "}"), In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString},
			})
		}
	}
	for _, p := range d.query {
		schema := &huma.Schema{Type: huma.TypeString}
		if p.many {
			schema = &huma.Schema{Type: huma.TypeArray, Items: schema}
		}
		op.Parameters = append(op.Parameters, &huma.Param{Name: p.name, In: "query", Description: p.doc, Schema: schema})
	}
	if d.takes != "" {
		op.RequestBody = &huma.RequestBody{Required: true, Content: s.media(d.takes, d.takesA)}
	}
	status := http.StatusOK
	if d.status != 0 {
		status = d.status
	}
	op.Responses = map[string]*huma.Response{
		strconv.Itoa(status): {Description: http.StatusText(status), Content: s.media(d.gives, d.givesA)},
		"default":            {Description: "Error", Content: s.media("application/json", reflect.TypeFor[api.Error]())},
	}
	if d.announce != "" {
		op.Responses["200"].Headers = map[string]*huma.Param{d.announce: {Description: "sent as a trailer", Schema: &huma.Schema{Type: huma.TypeString}}}
	}
	s.huma.OpenAPI().AddOperation(&op)
	s.mount(&op, func(w http.ResponseWriter, r *http.Request) {
		if err := act(w, r); err != nil {
			s.breakOff(w, r, err)
		}
	})
}

func (s *Server) media(contentType string, t reflect.Type) map[string]*huma.MediaType {
	if contentType == "" {
		return nil
	}
	m := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
	if t != nil {
		m.Schema = s.huma.OpenAPI().Components.Schemas.Schema(t, true, t.Name())
	}
	return map[string]*huma.MediaType{contentType: m}
}

// schemaOf describes a type in the document.
func schemaOf[T any](r huma.Registry) *huma.Schema {
	t := reflect.TypeFor[T]()
	return r.Schema(t, true, t.Name())
}

// breakOff answers a streamed operation that failed, if it is not too late for that.
func (s *Server) breakOff(w http.ResponseWriter, r *http.Request, err error) {
	if rec, ok := w.(*recorder); ok && rec.status != 0 {
		s.fail(r.Context(), err) // for the log
		panic(http.ErrAbortHandler)
	}
	s.answerError(w, r, err)
}

// mount routes to a handler, behind the check of rights.
func (s *Server) mount(op *huma.Operation, h http.HandlerFunc) {
	rt := op.Metadata[metaAccess].(route)
	path := rt.path
	if i := strings.Index(path, "{path...}"); i >= 0 {
		path = path[:i] + "*"
	}
	s.router.Method(rt.method, path, s.guarded(rt, h))
}

// adapter lets huma's operations go through mount.
type adapter struct{ s *Server }

// Handle implements huma.Adapter.
func (a adapter) Handle(op *huma.Operation, h func(huma.Context)) {
	a.s.mount(op, func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Content-Type") // knit's users may send anything: it is JSON
		h(humachi.NewContext(op, r, w))
	})
}

// ServeHTTP implements huma.Adapter.
func (a adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.s.router.ServeHTTP(w, r) }
