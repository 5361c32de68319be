#!/usr/bin/env bash
# gofmt and go vet find nothing, go.mod is tidy, and what is generated is current
# (the last is a test of each package).
set -euo pipefail
cd "$(dirname "$0")/.."
unformatted=$(git ls-files '*.go' | xargs gofmt -l)
if [ -n "$unformatted" ]; then
  echo "run gofmt -w on:" $unformatted >&2
  exit 1
fi
go vet -tags e2e ./...
go mod tidy -diff >/dev/null || { echo "go.mod is not tidy: run go mod tidy" >&2; exit 1; }
