package server

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

const (
	knitfabRelease = "1.6.1"
	readyWithin    = 5 * time.Second
)

// systemRoutes declares what is told about the system itself. Only whether it lives is
// told to everyone.
func (s *Server) systemRoutes() {
	read := func(path, id, summary string) route {
		return route{method: http.MethodGet, path: path, id: id, summary: summary, verb: weft.Read, kind: "system"}
	}
	handle(s, read("/api/version", "get-version", "Say which program answers"), s.getVersion)
	handle(s, read("/api/cluster", "get-cluster", "Say what the system offers to plans"), s.getCluster)
	s.stream(streamed{route: read("/api/openapi.json", "get-openapi", "Get this document"), gives: "application/openapi+json"}, s.getOpenAPI)
	s.stream(streamed{route: read("/metrics", "get-metrics", "Get metrics, for Prometheus"), gives: "text/plain"}, s.getMetrics)
	open := func(path, id, summary string) route {
		return route{method: http.MethodGet, path: path, id: id, summary: summary}
	}
	s.stream(streamed{route: open("/healthz", "get-health", "Say that the process lives"), gives: "text/plain"}, s.getHealth)
	s.stream(streamed{route: open("/readyz", "get-readiness", "Say whether requests can be served"), gives: "text/plain"}, s.getReadiness)
}

func (s *Server) getVersion(context.Context, *struct{}) (*body[api.Version], error) {
	return answer(api.Version{Version: s.Version, Commit: s.Commit, Knitfab: knitfabRelease}, nil)
}

func (s *Server) getCluster(ctx context.Context, _ *struct{}) (*body[api.Cluster], error) {
	c := api.Cluster{Version: s.Version, Registry: weft.EmbeddedRegistry, Pushes: s.RegistryAddresses, RunLimit: s.RunLimit, Runs: map[string]int64{}, Labels: []string{}, ExtraAPIs: s.wireExtra()}
	offer, err := s.Offer(ctx)
	if err != nil {
		return nil, err
	}
	c.Resources = wireQuantities(offer.Resources)
	c.Labels = append(c.Labels, wireStrings(offer.Labels)...)
	c.Executor = api.Executor(offer.Executor)
	if c.Storage, err = s.storage(ctx); err != nil {
		return nil, err
	}
	counts, err := s.Store.RunCounts(ctx, principal(ctx).Project)
	for status, n := range counts {
		c.Runs[string(status)] = n
	}
	return answer(c, err)
}

func (s *Server) storage(ctx context.Context) (api.Storage, error) {
	free, total, err := s.Content.Free()
	if err != nil {
		return api.Storage{}, err
	}
	reserve, err := s.Content.Reserved()
	if err != nil {
		return api.Storage{}, err
	}
	blobs, bytes, err := s.Store.BlobTotals(ctx)
	return api.Storage{TotalBytes: total, FreeBytes: free, ReserveBytes: reserve, Blobs: blobs, BlobBytes: bytes}, err
}

func (s *Server) getOpenAPI(w http.ResponseWriter, _ *http.Request) error {
	text, err := s.OpenAPI()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/openapi+json")
	_, err = w.Write(text)
	return err
}

func (s *Server) getMetrics(w http.ResponseWriter, r *http.Request) error {
	promhttp.HandlerFor(s.Metrics, promhttp.HandlerOpts{DisableCompression: true}).ServeHTTP(w, r)
	return nil
}

func (s *Server) getHealth(w http.ResponseWriter, _ *http.Request) error {
	_, err := w.Write([]byte("ok\n"))
	return err
}

func (s *Server) getReadiness(w http.ResponseWriter, r *http.Request) error {
	select {
	case <-s.closing:
		return weft.Errorf(weft.Unavailable, "the server is ending")
	default:
	}
	if s.Ready != nil {
		ctx, cancel := context.WithTimeout(r.Context(), readyWithin)
		defer cancel()
		if err := s.Ready(ctx); err != nil {
			s.log.WarnContext(ctx, "not ready", "error", err)
			return weft.Errorf(weft.Unavailable, "not ready").WithAdvice("its log says why")
		}
	}
	_, err := w.Write([]byte("ok\n"))
	return err
}
