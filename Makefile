# SPDX-FileCopyrightText: The mailpush authors
# SPDX-License-Identifier: Apache-2.0

# Needs Go, git and, for make test, a Debian-like machine: scripts/install-test-deps
# installs the rest. `make` alone lists the targets.

SHELL         := bash
.SHELLFLAGS   := -eu -o pipefail -c
.DEFAULT_GOAL := help

SERVICES := admin-api credential-vault listener-worker scheduler
BINARIES := $(SERVICES) mailpush pushusers
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X main.version=$(VERSION)

# Several programs, one list of results at the end.
RESULTS_LAST := awk '/^result: / { results = results $$0 "\n"; next } { print; fflush() } END { printf "%s", results }'

# The lanes of `make lint`, quickest first; each is a target of its own.
LINT_LANES := lint-format lint-layout lint-shell lint-proto lint-generated lint-vet lint-modules lint-deadcode lint-go

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Running

.PHONY: build
build: ## build the static binaries into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ $(BINARIES:%=./cmd/%)

.PHONY: bin/mailpush bin/pushusers
bin/mailpush bin/pushusers:
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/$(@F)

.PHONY: demo
demo: bin/mailpush ## show one mail arriving as one push, with everything in one process
	bin/mailpush demo

.PHONY: run
run: bin/mailpush bin/pushusers ## run everything in one process, with a data directory that survives restarts
	bin/mailpush run

##@ Checking

# Vetting is a lane of make lint: with it here, all dependencies would be vetted twice.
# Tests that run a cluster of processes: one after another, each has the machine alone.
PROCESS_TESTS := /trials/internal/(chaos|e2e|faults)$$

.PHONY: test
test: ## install what the tests need, then run all of them with the race detector
	scripts/install-test-deps
	go test -race -vet=off -count=1 -timeout 20m $$(go list work | grep -vE '$(PROCESS_TESTS)')
	go test -race -vet=off -count=1 -timeout 20m -p 1 $$(go list work | grep -E '$(PROCESS_TESTS)')

.PHONY: test-short
test-short: ## run the tests that need no external server, for the daily loop
	go test -short -timeout 5m work

# Without cgo, as images are built: the lanes, the tools they need and the programs of
# the end-to-end tests then share what the build cache holds.
$(LINT_LANES) house: export CGO_ENABLED := 0

.PHONY: lint
lint: ## run every lint lane, and name each one that fails
	@$(MAKE) --no-print-directory --keep-going $(LINT_LANES)

.PHONY: lint-format
lint-format: ## gofmt
	scripts/check-format

.PHONY: lint-layout
lint-layout: ## import rules, go.mod in step, licence headers, deployment files, documents
	go test -count=1 ./cmd/internal/layout/... ./cmd/internal/deployments ./cmd/internal/docs

.PHONY: lint-shell
lint-shell: ## shellcheck
	scripts/check-shell

.PHONY: lint-proto
lint-proto: ## buf lint, and buf breaking against the contract as last generated
	scripts/buf lint
	scripts/check-breaking

.PHONY: lint-generated
lint-generated: ## generated code is what make generate makes
	scripts/generate --check

.PHONY: lint-vet
lint-vet: ## go vet
	go vet work

.PHONY: lint-modules
lint-modules: ## each module builds without the workspace and is tidy
	scripts/check-modules

.PHONY: lint-go
lint-go: ## golangci-lint over all modules, in one pass
	scripts/golangci-lint run

.PHONY: lint-deadcode
lint-deadcode: ## no function that no program reaches
	go run ./cmd/internal/layout/house -deadcode

.PHONY: house
house: ## print the halls of each service with the lines of their packages
	go run ./cmd/internal/layout/house

.PHONY: odd-servers
odd-servers: ## try the listener at every odd server of pkg/imaptest/odd, which make test does as well
	go test -race -count=1 -v -run '^TestOddServers$$' ./services/listener-worker/internal/oddservers | awk '!/^ *(=== |--- PASS)/'

.PHONY: sim
sim: ## run the scheduling protocol through 100,000 simulated schedules of faults
	go run ./services/scheduler/sim -schedules 100000

# How long make soak runs.
SOAK ?= 10m

.PHONY: soak
soak: ## break a cluster of real processes again and again, for SOAK=10m
	go run ./trials/soak -for $(SOAK)

.PHONY: e2e
e2e: ## take one mail all the way through the programs as they are shipped
	go test -count=1 -v ./trials/internal/e2e

.PHONY: faults
faults: ## break a cluster of real processes in each way once
	go test -count=1 -v -timeout 20m ./trials/internal/faults

.PHONY: chaos
chaos: ## kill workers, vault and admin-api 50 times while 20,000 mails arrive and endpoints fail
	go run ./trials/chaos

.PHONY: upgrade
upgrade: ## chaos with every other process of the release before: BEFORE=<revision>
	go run ./trials/chaos -before '$(or $(BEFORE),$(error say which revision was before: make upgrade BEFORE=<revision>))' \
	  -mails 4000 -kills 40 -for 2m

.PHONY: bench
bench: ## measure push latency and memory per idle listener
	go run ./trials/bench

.PHONY: bench-scheduler
bench-scheduler: ## measure the scheduler: decisions beside other schemes, faults, etcd, take-over, drain
	{ go run ./services/scheduler/bench; \
	  go run ./services/scheduler/sim -schedules 20000; \
	  go run ./services/scheduler/etcdbench; \
	  go run ./trials/bench-scheduler; } | $(RESULTS_LAST)

.PHONY: bench-delivery
bench-delivery: ## measure delivery: added latency, throughput, bursts, an endpoint that hangs
	go run ./services/listener-worker/bench

##@ Changing

.PHONY: generate
generate: ## generate proto/gen from the .proto files with pinned tools, unless they break the contract
	scripts/generate

.PHONY: format
format: ## format the Go code and the .proto files
	scripts/golangci-lint fmt
	scripts/buf format -w

.PHONY: tidy
tidy: ## go mod tidy in each module, then go work sync
	scripts/tidy

.PHONY: clean
clean: ## remove built binaries and installed tools
	rm -rf bin .tools
