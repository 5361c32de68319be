package server

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// A Config is what a Server is made of. Fields that say so may be left out.
type Config struct {
	Guard    *Guard
	Store    Store
	Content  Content
	Logs     Logs
	Offer    func(context.Context) (Offer, error) // what Runs can get
	SignIn   SignIn                               // lets people in
	Ready    func(context.Context) error          // optional: nil when the process can serve
	Secrets  Secrets                              // optional: without it, projects can have none
	Imports  Imports                              // brings in what is somewhere already
	Registry http.Handler                         // optional: answers /v2/
	Diagnose func(context.Context) []api.Finding  // optional: what is wrong with the system
	Console  http.Handler                         // optional: answers what is not the API
	Metrics  *prometheus.Registry                 // optional: what /metrics shows beside the server's own

	Proxies           []netip.Prefix    // whose X-Forwarded headers count (proxy.go)
	ExtraKey          *ecdsa.PrivateKey // optional: signs who asks, for services of the extra API; on P-256
	RegistryAddresses []string          // where the embedded registry can be reached, as host:port
	RunLimit          int64             // pending runs above which a plan is blocked; 0 is weft.DefaultRunLimit
	Version           string
	Commit            string
	Log               *slog.Logger

	Accounts  Accounts  // users, projects, tokens and the audit log
	Passwords Passwords // optional: nobody has one without

	Notifications Notifications // optional: nobody can be told of runs without
	Hooks         Hooks         // optional: there are none without
}

// A Server answers the HTTP API. It is an http.Handler, safe for concurrent use.
type Server struct {
	Config
	log     *slog.Logger
	guard   *Guard
	router  *chi.Mux
	huma    huma.API
	handler http.Handler
	metrics *metrics
	uploads *uploads
	trees   *manifests
	stall   time.Duration // of bodies
	origin  *http.CrossOriginProtection

	extra    atomic.Pointer[[]*endpoint] // longest path first
	extraSet chan struct{}               // after extra was set

	closing   chan struct{} // closed by Drain
	closeOnce sync.Once
}

// New returns a Server.
func New(c Config) *Server {
	if c.RunLimit == 0 {
		c.RunLimit = weft.DefaultRunLimit
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	s := &Server{
		Config: c, log: c.Log, guard: c.Guard, router: chi.NewRouter(),
		metrics: newMetrics(c.Metrics), uploads: newUploads(), trees: newManifests(c.Content), stall: bodyStall, origin: http.NewCrossOriginProtection(), closing: make(chan struct{}), extraSet: make(chan struct{}, 1),
	}
	s.huma = huma.NewAPI(humaConfig(c.Version), adapter{s})
	s.router.NotFound(func(w http.ResponseWriter, r *http.Request) {
		s.plain(w, r, http.StatusNotFound, api.KindNotFound, "Not Found")
	})
	s.router.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		s.plain(w, r, http.StatusMethodNotAllowed, api.KindInvalid, "Method Not Allowed")
	})
	s.routes()
	s.handler = s.proxied(s.observed(oneSlash(http.HandlerFunc(s.dispatch))))
	return s
}

// routes declares every operation.
func (s *Server) routes() {
	s.dataRoutes()
	s.fileRoutes()
	s.uploadRoutes()
	s.planRoutes()
	s.secretRoutes()
	s.notificationRoutes()
	s.removalRoutes()
	s.runRoutes()
	s.eventRoutes()
	s.imageRoutes()
	s.importRoutes()
	s.markRoutes()
	s.systemRoutes()
	s.doctorRoutes()
	s.signInRoutes()
	s.accountRoutes()
	s.extraRoutes()
	s.describeNull()
}

// describeNull says in the document what huma cannot derive: the log of a Run may be
// null, and what an input takes of the latest may be true.
func (s *Server) describeNull() {
	p := s.huma.OpenAPI().Components.Schemas.Map()["RunDetail"].Properties
	p["log"] = &huma.Schema{Description: p["log"].Description, OneOf: []*huma.Schema{{Ref: p["log"].Ref}, {Type: "null"}}}
	for _, name := range []string{"PlanInput", "PlanSpecInput"} {
		p := s.huma.OpenAPI().Components.Schemas.Map()[name].Properties
		p["latest"] = &huma.Schema{Description: p["latest"].Description, OneOf: []*huma.Schema{{Type: huma.TypeBoolean}, {Ref: p["latest"].Ref}}}
	}
}

// humaConfig leaves out what huma does by default but breaks the wire.
func humaConfig(version string) huma.Config {
	jsonFormat := huma.Format{
		Marshal: func(w io.Writer, v any) error {
			enc := json.NewEncoder(w)
			enc.SetEscapeHTML(false)
			return enc.Encode(v)
		},
		Unmarshal: decodeStrict,
	}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Weft", Version: version,
				Description: "Data, plans, runs and their lineage. Includes the API of Knitfab 1.6.1, for its knit command.",
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"bearer": {Type: "http", Scheme: "bearer"},
					"basic":  {Type: "http", Scheme: "basic", Description: "The token is the password; any user name will do."},
				},
			},
		},
		Formats:       map[string]huma.Format{"application/json": jsonFormat},
		DefaultFormat: "application/json",
	}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// dispatch tells the API from the registry and the console.
func (s *Server) dispatch(w http.ResponseWriter, r *http.Request) {
	if e := s.extraFor(r.URL.Path); e != nil {
		s.serveExtra(w, r, e)
		return
	}
	if err := s.origin.Check(r); err != nil {
		s.answerError(w, r, weft.Errorf(weft.Forbidden, "another site may not make your browser change anything here: %w", err))
		return
	}
	path := r.URL.Path
	switch {
	case s.Registry != nil && (path == "/v2" || strings.HasPrefix(path, "/v2/")):
		i := infoOf(r.Context())
		i.route = "/v2/"
		noteRegistry(i, r)
		s.Registry.ServeHTTP(w, r)
	case s.Console == nil && s.SignIn != nil && path == "/" && r.Method == http.MethodGet:
		infoOf(r.Context()).route = "/"
		http.Redirect(w, r, "/account", http.StatusSeeOther) // until there is a console, that is where people begin
	case s.Console != nil && !strings.HasPrefix(path, "/api/") && path != "/api" && !s.router.Match(chi.NewRouteContext(), r.Method, path):
		infoOf(r.Context()).route = "/"
		s.Console.ServeHTTP(w, r)
	default:
		s.router.ServeHTTP(w, r)
	}
}

// plain answers as Knitfab does where there is no such route.
func (s *Server) plain(w http.ResponseWriter, r *http.Request, status int, kind api.ErrorKind, message string) {
	writeJSON(w, status, api.Error{Message: message, Kind: kind, RequestID: infoOf(r.Context()).id}, s.log)
}

// Drain makes the server ready to be shut down: it says that it is not ready, and
// ends the streams that would go on for ever. Call it before http.Server.Shutdown.
func (s *Server) Drain() { s.closeOnce.Do(func() { close(s.closing) }) }

// OpenAPI returns the document that describes the API, indented.
func (s *Server) OpenAPI() ([]byte, error) {
	text, err := json.MarshalIndent(s.huma.OpenAPI(), "", "  ")
	return append(text, '\n'), err
}
