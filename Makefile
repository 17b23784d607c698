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
LINT_LANES := lint-format lint-layout lint-shell lint-alerts lint-proto lint-generated lint-modules lint-deadcode lint-chart lint-go

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

.PHONY: demo-dovecot
demo-dovecot: ## show the same through a private, real Dovecot, without a connection or a password
	scripts/install-test-deps dovecot-core dovecot-imapd dovecot-lmtpd
	go run ./trials/demo-dovecot

.PHONY: run
run: bin/mailpush bin/pushusers ## run everything in one process, with a data directory that survives restarts
	bin/mailpush run

##@ Checking

# What parks connections without epoll on other systems than Linux, and what builds on it.
NOEPOLL_TESTS := ./services/listener-worker/internal/imap/... ./services/listener-worker/internal/listen/... \
	./services/listener-worker/internal/oddservers ./services/listener-worker

# Vetting is a part of make lint-go: with it here, all dependencies would be vetted twice.
# Tests that run a cluster of processes.
PROCESS_TESTS := /trials/internal/(causes|chaos|crowd|e2e|faults|field)$$

# Many tests wait: for leases to end, for databases to start. One more at a time than there
# are processors keeps the processors busy, and tests with bounds on time still hold.
TESTS_AT_ONCE ?= $(shell echo $$(($$(nproc) + 1)))

.PHONY: test
test: ## install what the tests need, then run all of them with the race detector
	scripts/install-test-deps
	go test -race -vet=off -count=1 -timeout 20m -p $(TESTS_AT_ONCE) $$(go list work | grep -vE '$(PROCESS_TESTS)')
	@$(MAKE) --no-print-directory --keep-going --jobs=2 --output-sync=target test-processes test-noepoll

# Most of their time they wait, for leases to end above all: three run at a time, and
# others beside them.
.PHONY: test-processes
test-processes: ## run the tests that break a cluster of real processes
	go test -race -vet=off -count=1 -timeout 20m -p 3 $$(go list work | grep -E '$(PROCESS_TESTS)')

.PHONY: test-noepoll
test-noepoll: ## run the tests of the listener as it is built for other systems than Linux
	go test -race -vet=off -count=1 -timeout 20m -p 1 -tags noepoll $(NOEPOLL_TESTS)

# Both unpack what they need below .cache, say so, and install nothing. What is unpacked
# sees no directory of the machine for temporary files but /tmp.
DOVECOT24_TESTS := ./pkg/dovecottest ./services/listener-worker/internal/dovecot ./services/listener-worker/internal/listen \
	./services/listener-worker

.PHONY: test-dovecot24
test-dovecot24: ## run the tests that need a Dovecot with Dovecot 2.4, which is unpacked below .cache
	program=$$(scripts/unpack-debian trixie /usr/sbin/dovecot dovecot-core dovecot-imapd dovecot-lmtpd); \
	  TMPDIR=/tmp MAILPUSH_TEST_DOVECOT=$$program go test -race -vet=off -count=1 -timeout 20m $(DOVECOT24_TESTS)

.PHONY: test-cyrus
test-cyrus: ## have a real Cyrus tell of mail, and push it; Cyrus is unpacked below .cache
	program=$$(scripts/unpack-debian bookworm /usr/sbin/cyrmaster cyrus-imapd); \
	  TMPDIR=/tmp MAILPUSH_TEST_CYRUS=$$program go test -race -vet=off -count=1 -timeout 20m -v -run '^TestCyrus' \
	    ./services/listener-worker | awk '!/^ *(=== |time=.* level=(DEBUG|INFO))/'

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

.PHONY: lint-alerts
lint-alerts: ## promtool: each alert fires and does not fire, the dashboard's expressions are some
	scripts/check-alerts

.PHONY: lint-proto
lint-proto: ## buf lint, and buf breaking against the contract as last generated
	scripts/buf lint
	scripts/check-breaking

.PHONY: lint-generated
lint-generated: ## generated code is what make generate makes
	scripts/generate --check

.PHONY: lint-modules
lint-modules: ## each module builds without the workspace and is tidy
	scripts/check-modules

.PHONY: lint-go
lint-go: ## golangci-lint over all modules, in one pass
	scripts/golangci-lint run

.PHONY: lint-deadcode
lint-deadcode: ## no function that no program reaches
	go run ./cmd/internal/layout/house -deadcode

.PHONY: lint-chart
lint-chart: ## the Helm chart: helm lint and template, Kubernetes' schemas, settings the services accept
	scripts/check-chart

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

# How long make soak-parked runs, once all listeners are there.
SOAK_PARKED ?= 30m

.PHONY: soak-parked
soak-parked: ## hold 18,000 TLS listeners in one worker, for SOAK_PARKED=30m: is anything lost, does memory grow?
	go run ./trials/soak-parked -for $(SOAK_PARKED)

.PHONY: e2e
e2e: ## take one mail all the way through the programs as they are shipped
	go test -count=1 -v ./trials/internal/e2e

.PHONY: faults
faults: ## break a cluster of real processes in each way once
	go test -count=1 -v -timeout 20m ./trials/internal/faults

.PHONY: explain-causes
explain-causes: ## make everything that keeps a push from a user, for real: does explain alone name each?
	scripts/install-test-deps postgresql
	go run ./trials/explain-causes

.PHONY: chaos
chaos: ## kill workers, vault and admin-api 50 times while 20,000 mails arrive and endpoints fail: by IDLE, by notifications, with wrong answers
	go run ./trials/chaos
	$(MAKE) --no-print-directory chaos-dovecot
	$(MAKE) --no-print-directory chaos-answers

.PHONY: chaos-dovecot
chaos-dovecot: ## the second part of that: Dovecot notifies, and notifications are late, refused and lost
	go run ./trials/chaos -backend dovecot

.PHONY: chaos-answers
chaos-answers: ## the third part of that: endpoints answer 404 for 5 s, 400 for a minute and with a wrong certificate for a minute, too
	go run ./trials/chaos -answers

.PHONY: upgrade
upgrade: ## chaos with every other process of the release before: BEFORE=<revision>
	go run ./trials/chaos -before '$(or $(BEFORE),$(error say which revision was before: make upgrade BEFORE=<revision>))' \
	  -mails 4000 -kills 40 -for 2m

.PHONY: bench
bench: ## measure push latency, memory and processor time per listener, a take-over, stock IMAP clients
	go run ./trials/bench

.PHONY: bench-dovecot
bench-dovecot: ## measure a real Dovecot that tells of mail, beside IDLE at the same
	go run ./trials/bench-dovecot

.PHONY: bench-scheduler
bench-scheduler: ## measure the scheduler: decisions beside other schemes, faults, etcd, take-over, drain
	{ go run ./services/scheduler/bench; \
	  go run ./services/scheduler/sim -schedules 20000; \
	  go run ./services/scheduler/etcdbench; \
	  go run ./trials/bench-scheduler; } | $(RESULTS_LAST)

.PHONY: bench-start
bench-start: ## measure how long a cluster with 200,000 users takes to start, also with an emptied etcd
	go run ./trials/bench-start

.PHONY: bench-subscribe
bench-subscribe: ## measure subscribing: a call each on SQLite and PostgreSQL, pages, reads while listeners are counted
	{ go run ./services/admin-api/bench; \
	  go run ./trials/bench-subscribe; } | $(RESULTS_LAST)

.PHONY: bench-delivery
bench-delivery: ## measure delivery: added latency, throughput, bursts, an endpoint that hangs
	go run ./services/listener-worker/bench

.PHONY: bench-field
bench-field: ## measure faults of endpoints, applications and mail stores: what is lost, how long neighbours and listeners wait
	go run ./trials/bench-field

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
clean: ## remove built binaries, installed tools and unpacked servers
	rm -rf bin .tools .cache
