#!/usr/bin/env bash
# Everything that CI runs. Each stage says how long it took; the first that fails ends it.
set -euo pipefail
cd "$(dirname "$0")/.."
test/deps.sh runc skopeo postgresql

stage() {
  local name=$1 from=$SECONDS
  shift
  echo "=== $name"
  "$@"
  echo "=== $name: $((SECONDS - from)) s"
}

# A private PostgreSQL for the whole of it.
eval "$(test/postgres.sh start)"
trap 'test/postgres.sh stop' EXIT
[ -n "${WEFT_TEST_POSTGRES:-}" ] || { echo "no PostgreSQL was started" >&2; exit 1; }

stage "lint" test/lint.sh
stage "build" make -s build
stage "tests, both databases, real containers, race detector" \
  env CGO_ENABLED=1 go test -race -shuffle=on -tags e2e -timeout 20m ./...
stage "tests, three times over" go test -count=3 -timeout 10m . ./api ./internal/engine ./internal/store
stage "the digits example" examples/digits/demo.sh
stage "twenty kills" test/kill.sh
echo "=== all tests passed in $SECONDS s"
