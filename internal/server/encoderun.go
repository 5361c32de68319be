package server

import "github.com/weft-dev/weft"

// EncodeRun writes a Run as GET /api/runs/{id} answers it, for those who are told of it
// without having asked.
func EncodeRun(v weft.RunView) ([]byte, error) { return appendValue(nil, wireRun(v)), nil }
