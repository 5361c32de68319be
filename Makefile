# Everything that people and CI run. `make` lists the targets.
SHELL := /bin/bash
export CGO_ENABLED ?= 0

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X github.com/weft-dev/weft/internal/app.version=$(VERSION)

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/weft
	@go build -trimpath -ldflags '$(LDFLAGS)' -o bin/weft ./cmd/weft

.PHONY: demo
demo: deps-demo build ## learn handwritten digits: push, plan, run, lineage, pull
	@examples/digits/demo.sh

.PHONY: demo-sklearn
demo-sklearn: deps-demo deps-sklearn build ## the same in Python, in an image made from Debian's packages
	@examples/sklearn/demo.sh

.PHONY: test
test: ## everything that CI runs, in under 25 minutes
	@test/all.sh

.PHONY: bench
bench: deps-demo deps-bench build ## measure each figure against its target; writes bench.json
	@test/bench.sh

.PHONY: generate
generate: ## make again what is generated: api/openapi.json, docs/api.md, docs/cli.md, docs/run-states.md
	@go test ./internal/server ./internal/app . -run 'Current$$' -count=1 -update

.PHONY: lint
lint: ## gofmt, go vet, and go.mod as `go mod tidy` leaves it
	@test/lint.sh

.PHONY: deps-demo deps-sklearn deps-bench
deps-demo:
	@test/deps.sh containers
deps-sklearn:
	@test/deps.sh mmdebstrap
deps-bench:
	@test/deps.sh restic postgresql docker-registry

.PHONY: clean
clean: ## remove what was built, and the demo's state
	@rm -rf bin bench.json demo-state
