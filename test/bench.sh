#!/usr/bin/env bash
# Measures every figure, with a private PostgreSQL that waits for the disk. What it is
# given is passed on: test/bench.sh -only '^jobs$'
set -euo pipefail
cd "$(dirname "$0")/.."
database=$(mktemp -d)
trap 'test/postgres.sh stop "$database"; rm -rf "$database"' EXIT
WEFT_TEST_POSTGRES=$(test/postgres.sh start "$database")
export WEFT_TEST_POSTGRES
go build -o bin/bench ./test/bench
bin/bench "$@"
