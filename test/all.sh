#!/usr/bin/env bash
# Everything that CI runs. Each stage says how long it took; the first that fails ends it.
set -euo pipefail
cd "$(dirname "$0")/.."
test/deps.sh gcc runc skopeo postgresql docker.io podman uidmap curl
[ "$(id -u)" = 0 ] || { echo "make test runs containers: start it as root" >&2; exit 1; }

stage() {
  local name=$1 from=$SECONDS
  shift
  echo "=== $name"
  "$@"
  echo "=== $name: $((SECONDS - from)) s"
}

# A private PostgreSQL for the whole of it.
database=$(mktemp -d)
trap 'test/postgres.sh stop "$database"; rm -rf "$database"' EXIT
WEFT_TEST_POSTGRES=$(test/postgres.sh start "$database" fast)
export WEFT_TEST_POSTGRES

stage "lint" test/lint.sh
stage "build" make -s build
stage "tests, both databases, real containers, race detector" \
  env CGO_ENABLED=1 go test -race -shuffle=on -tags e2e -timeout 20m ./...
stage "tests, three times over" go test -count=3 -timeout 10m . ./api ./internal/content ./internal/store
stage "three hundred histories with crashes" go test -timeout 10m ./internal/engine -seeds 300
stage "the digits example" examples/digits/demo.sh
echo "=== all tests passed in $SECONDS s"
