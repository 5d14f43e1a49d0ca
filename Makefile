# The two commands are demo and test. Each installs what it needs and the machine lacks.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: demo test long console screenshots chaos model simulate bench soak lint build fuzz package package-test release help

# Arguments of the demo, as in: make demo ARGS='--for 10s'
ARGS ?=
# How long each fuzz target runs.
FUZZTIME ?= 15s
# The limit of each package's tests.
TIMEOUT ?= 60m
# A pattern of the tests that make long runs. Commands have it by the environment, since it has many names.
export LONG = ^($(shell grep -v '^#' test/long | paste -sd '|'))$$
# The schedule of make chaos, and how long it makes faults.
SEED := $(or $(SEED),$(shell date +%s))
FOR ?= 5m

demo: ## run the relay with everything it needs, nothing left behind (ARGS='--for 10s')
	@scripts/install-demo
	go run ./cmd/relay demo $(ARGS)

# Packages whose tests mostly start other processes. They have no race detector here: with it, they build a relay that
# has it too, as for make chaos and make model.
OUTSIDE = ./test/... ./examples/... ./throwaway/... ./deploy/...

test: ## install what the tests need, check the code, run all tests but the long ones
	@scripts/install-test
	@$(MAKE) --no-print-directory lint
	go test -race -shuffle=on -timeout $(TIMEOUT) -skip "$$LONG" $$(go list ./... | grep -vxF "$$(go list $(OUTSIDE))")
	go test -shuffle=on -timeout $(TIMEOUT) -skip "$$LONG" $(OUTSIDE)
	go -C deploy/check test -shuffle=on ./...

long: ## run the tests that take long (test/long names them): servers that go and come back, kills at each mark, great numbers
	@scripts/install-test
	go test -shuffle=on -timeout $(TIMEOUT) -v -run "$$LONG" ./test ./sql ./examples

chaos: ## kill, freeze, cut and block everything at random, then count (SEED=1 FOR=5m)
	@scripts/install-test
	go test -race -count=1 -timeout 0 -v -run '^TestChaos$$' ./test -chaos.seed=$(SEED) -chaos.for=$(FOR)

model: FOR = 1m
model: ## run a random program, then state what every subscriber was owed (SEED=1 FOR=1m)
	@scripts/install-test
	go test -race -count=1 -timeout 0 -v -run '^TestModel$$' ./test -model.seed=$(SEED) -model.for=$(FOR)

simulate: FOR = 1m
simulate: ## the engine's machine against a model of the world, history after history (SEED=1 FOR=1m)
	go test -count=1 -timeout 0 -v -run '^TestFind$$' ./reconcile/simulate -simulate.seed=$(SEED) -simulate.for=$(FOR)
	go test -count=1 -timeout 0 -v -run '^TestMutations$$' ./reconcile/simulate -simulate.mutation=.

bench: ## measure the relay against what this machine allows (ARGS='-only rate,latency -full -update')
	@scripts/install-test
	go run ./test/bench $(ARGS)

soak: FOR = 1h
soak: ## 1,000 rows/s for a long time, with a snapshot held open in the middle (FOR=1h)
	@scripts/install-test
	go run ./test/bench -only soak -for $(FOR) $(ARGS)

console: ## build the console's pages from admin/console/web into admin/console/dist
	npm ci --prefix admin/console/web --ignore-scripts --no-audit --no-fund --loglevel error >/dev/null
	@scripts/console admin/console

screenshots: ## take docs/pictures from the demo's data, five pages in both themes
	@scripts/install-test
	go test -count=1 -timeout 15m -v -run '^TestConsoleScreenshots$$' ./test -console.pictures=$(CURDIR)/docs/pictures -console.after=5m

lint: ## gofmt, go vet (also for Windows), staticcheck, go.mod, workflows, and the console's bundle against its sources
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt -w: $$unformatted"; exit 1; fi
	go vet ./...
	go -C deploy/check vet ./...
	GOOS=windows go vet ./cmd/relay
	go tool staticcheck ./...
	go mod tidy -diff
	go -C deploy/check mod tidy -diff
	go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.7
	@if [ -d admin/console/web/node_modules ]; then scripts/console --check; fi

build: ## build bin/relay
	go build -trimpath -o bin/relay ./cmd/relay

package: ## build all that a release consists of into dist (TARGETS='linux/amd64 linux/arm64')
	@scripts/package

package-test: package ## install, upgrade and remove what make package built, and have helm judge the chart: 15 minutes at first
	@scripts/install-package-test
	go -C deploy/check test -count=1 -timeout 60m -v ./... -dist=$(CURDIR)/dist

release: ## turn the changelog's unreleased section into a release, commit, tag and build it (VERSION=v1.2.3)
	@scripts/release $(VERSION)

fuzz: ## run every fuzz target for FUZZTIME
	@scripts/fuzz $(FUZZTIME)

help: ## list the targets
	@awk -F ': ## ' '/^[a-z-]+: .*## / { sub(/:.*## /, ": ## "); printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
