# Larder. `make test` installs what the tests need and runs them all.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
# Two cores are the smallest machine that the suite is meant for, and the tests
# with real clients start daemons: one thing after the other.
.NOTPARALLEL:

VERSION ?= $(patsubst v%,%,$(shell git describe --tags --match 'v*' 2>/dev/null || echo 0.1.0-dev))
COMMIT ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

PLATFORMS ?= linux/amd64,linux/arm64

FUZZTIME ?= 20s
FUZZFLAGS ?= -fuzz .
BENCHTIME ?= 1s

# test/e2e is a module of its own because of what its clients depend on.
MODULES := . $(patsubst %/go.mod,%,$(wildcard test/e2e/go.mod))

GOLANGCI_LINT := go tool -modfile=$(CURDIR)/tools/go.mod golangci-lint

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: build
build: ## the static program, bin/larder
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/larder ./cmd/larder

.PHONY: image
image: ## the container image for PLATFORMS, dist/larder.tar, without a container engine
	go run ./deploy/image -o dist/larder.tar -version '$(VERSION)' -commit '$(COMMIT)' \
		-time "$$(git log -1 --format=%ct 2>/dev/null || echo 0)" -platforms '$(PLATFORMS)'

.PHONY: test
test: deps tools lint vet unit fuzz-short chaos e2e ## install what the tests need, then lint, vet, fuzz and run every test

.PHONY: deps
deps: ## install the clients that the tests drive, and a C compiler for -race (Debian, Ubuntu)
	test/install-deps

.PHONY: tools
tools: ## build the linter, the S3 servers, the Kubernetes API server, cert-manager and Argo CD's comparison that tests drive; minutes at first, seconds later
	@$(GOLANGCI_LINT) version
	go test -count=1 -timeout 40m -run '^$$' ./internal/blob/s3
	go test -count=1 -timeout 45m -run '^TestTheProgramsAreBuilt$$' ./internal/testkit/kubeserver ./internal/testkit/gitops ./internal/testkit/certmanager

.PHONY: lint
lint: ## golangci-lint over both modules
	@for module in $(MODULES); do (cd "$$module" && $(GOLANGCI_LINT) run --config '$(CURDIR)/.golangci.yml' ./...); done

.PHONY: vet
vet: ## go vet over both modules
	@for module in $(MODULES); do (cd "$$module" && go vet -tags kubelet ./...); done

# Packages whose tests take minutes begin first, or they would run last and leave all but one
# core idle. Tests wait a third of their time, so half as many more packages
# run at once than there are cores.
LONGEST := ./internal/server ./test/scripts ./internal/metadata ./internal/blob/s3

# SQLite's own C code and what it stands on, as translated to Go, and the hash of passwords are
# not watched for races: that would take half of the time, and they see to what they share
# themselves.
UNWATCHED := modernc.org/sqlite/lib modernc.org/libc modernc.org/memory golang.org/x/crypto/argon2

.PHONY: unit
unit: ## the tests of each package, with the race detector
	CGO_ENABLED=1 go test -race $(UNWATCHED:%=-gcflags=%=-race=false) -p $$(( $$(nproc) * 3 / 2 )) -timeout 30m $(LONGEST) $$(go list ./... | grep -v /test/chaos)

.PHONY: chaos
chaos: ## kill -9, full disks and hostile clients, by itself because it takes the whole machine
	go test -count=1 -parallel 2 -timeout 30m ./test/chaos

.PHONY: e2e
e2e: build ## the built program with real clients: skopeo, podman, containerd, dockerd, kubectl
	cd test/e2e && LARDER_BIN='$(CURDIR)/bin/larder' go test -count=1 -parallel 2 -timeout 30m ./...

# Apart from `make test`: it takes root, namespaces and control groups that a container of a
# CI need not have, and a kubelet, which is built for it alone.
.PHONY: test-kubelet
test-kubelet: build ## as root: the built program with a real kubelet and containerd, which run pods; not part of test
	cd test/e2e && LARDER_BIN='$(CURDIR)/bin/larder' go test -tags kubelet -count=1 -timeout 60m -v -run Kubelet ./...

# FUZZFLAGS make a build of its own that tells the fuzzer which inputs lead to new code.
# Without them, in the suite, inputs are drawn from the kept ones alone. A count in place
# of a time tries the same amount on a slow machine as on a fast one.
.PHONY: fuzz
fuzz: ## fuzz each parser for FUZZTIME (20s)
	@binary=$$(mktemp); trap 'rm -f "$$binary"' EXIT; cache=$$(go env GOCACHE)/fuzz/larder; \
	for package in $$(grep -rlE '^func Fuzz' --include='*_test.go' cmd internal | xargs -r -n1 dirname | sort -u); do \
		go test -c $(FUZZFLAGS) -o "$$binary" "./$$package"; \
		for name in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$$package"/*_test.go | cut -d' ' -f2); do \
			echo "$$package: $$name"; \
			(cd "$$package" && timeout 30m "$$binary" -test.run '^$$' -test.fuzz "^$$name$$" -test.fuzztime $(FUZZTIME) \
				-test.fuzzminimizetime 100x -test.fuzzcachedir "$$cache/$$package"); \
		done; \
	done

.PHONY: fuzz-short
fuzz-short: ## try each parser on a thousand inputs drawn from the kept ones
	@$(MAKE) --no-print-directory fuzz FUZZTIME=1000x FUZZFLAGS=

.PHONY: bench
bench: ## every Go benchmark, BENCHTIME (1s) each
	go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

.PHONY: cover
cover: ## the tests' coverage of the module, coverage.html
	go test -coverprofile coverage.out -coverpkg ./... ./...
	go tool cover -html coverage.out -o coverage.html

.PHONY: demo
demo: ## Docker Hub simulated, 300 pulls, and what Larder saved; needs no network
	go run ./cmd/larder demo

.PHONY: clean
clean: ## remove what the targets above made; keeps larder-data
	rm -rf bin dist coverage.out coverage.html
