package server

import (
	"context"
	"net/http"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// doctorRoutes declares what tells administrators how the system is.
func (s *Server) doctorRoutes() {
	handle(s, route{
		method: http.MethodGet, path: "/api/doctor", id: "get-findings", summary: "Say what is wrong with the system, and what to do about it",
		verb: weft.Manage, kind: "system",
	}, s.getFindings)
}

func (s *Server) getFindings(ctx context.Context, _ *struct{}) (*body[[]api.Finding], error) {
	found := []api.Finding{}
	if s.Diagnose != nil {
		found = append(found, s.Diagnose(ctx)...)
	}
	return answer(found, nil)
}
