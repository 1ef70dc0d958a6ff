# Every target runs in every module of the workspace, and test, race, lint,
# cover and tidy-check in tools, which stays outside, too. Nothing here changes
# the working tree but `make bench`, which writes benchmarks/RESULTS.md,
# benchmarks/batching/goodput.svg and benchmarks/breaker/outage.svg.

# Recipes stop at the first failure by "|| exit 1" and without pipes, because
# macOS's make 3.81 knows no .SHELLFLAGS.
SHELL := bash

# The folders of the workspace's modules, and those besides it.
MODULES     = $(or $(shell go list -m -f '{{.Dir}}'),$(error go list finds no module))
# Those that users can get.
RELEASED    = . auth/authkubernetes ratelimit/ratelimitredis tracing/tracingotlp
ALL_MODULES = $(MODULES) $(CURDIR)/tools
TOOL        = GOWORK=off go tool -modfile=$(CURDIR)/tools/go.mod

# What tests skip for want of a program; go test itself does not say it. In CI
# they fail instead, and make integration runs, too.
SKIPS = for program in redis-server promtool prometheus amtool; do command -v $$program > /dev/null || \
	echo "skipped: the tests that need $$program, which is not on the PATH"; done; \
	command -v alertmanager > /dev/null || command -v prometheus-alertmanager > /dev/null || \
	echo "skipped: the tests that need alertmanager, which is not on the PATH, nor is prometheus-alertmanager"; \
	[ -n "$$BALLAST_KUBE" ] || echo "skipped: the tests against a Kubernetes API server, which make integration runs"; \
	[ -n "$$BALLAST_OTELCOL" ] || echo "skipped: the tests against an OpenTelemetry Collector, which make integration runs"; \
	[ -n "$$BALLAST_GRPCTOOLS" ] || echo "skipped: the tests with grpcurl and grpc-health-probe, which make integration runs"; \
	vectors=$${BALLAST_VECTORS:-$(CURDIR)/../shared/vectors}; [ -d "$$vectors" ] || echo "skipped: the test vectors, which are not at $$vectors"

# Least coverage of a package, in percent; packages without statements have none.
MIN_COVER ?= 85
# How long each fuzz target runs.
FUZZTIME  ?= 5s
# Runs of each benchmark; the report quotes medians.
COUNT     ?= 6
# Parts of the benchmark report to measure anew; all if empty.
PARTS     ?=

.PHONY: help test race integration lint bench cover fuzz tidy-check standalone latest cross vuln

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: ## test every module
	@$(SKIPS)
	go test work
	cd tools && GOWORK=off go test ./...

race: ## test every module with the race detector, in random order (needs a C compiler)
	@$(SKIPS)
	go test -race -shuffle=on work
	cd tools && GOWORK=off go test -race -shuffle=on ./...

integration: ## test against a real Kubernetes API server, OpenTelemetry Collector and gRPC clients (built first, which takes minutes once)
	@dir=$$(tools/kubedev/build.sh) && export BALLAST_KUBE="$$dir" && \
	dir=$$(tools/otelcol/build.sh) && export BALLAST_OTELCOL="$$dir" && \
	dir=$$(tools/grpctools/build.sh) && export BALLAST_GRPCTOOLS="$$dir" && \
	go test -count=1 ./auth/authkubernetes ./tracing/tracingotlp ./health/healthgrpc ./examples/serving

lint: ## gofmt, go vet and staticcheck
	@files=$$(gofmt -l .) || exit 1; if [ -n "$$files" ]; then echo "gofmt wants:" $$files; exit 1; fi
	go vet work
	cd tools && GOWORK=off go vet ./...
	@for dir in $(ALL_MODULES); do echo "staticcheck $${dir#$(CURDIR)}/"; (cd $$dir && $(TOOL) staticcheck ./...) || exit 1; done

cover: ## coverage of each package, and in total; fails below MIN_COVER percent
	@mkdir -p coverage
	@go test -covermode=atomic -coverprofile=coverage/all.out work > coverage/packages.txt || (cat coverage/packages.txt; exit 1)
	@cd tools && GOWORK=off go test -cover ./... >> ../coverage/packages.txt || (cat ../coverage/packages.txt; exit 1)
	@cat coverage/packages.txt
	@cd tools && GOWORK=off go run ./cover -min $(MIN_COVER) ../coverage/packages.txt
	@go tool cover -func=coverage/all.out > coverage/functions.txt
	@tail -n 1 coverage/functions.txt

# go test itself may fail with "context deadline exceeded" when FUZZTIME is up, without
# having found anything: then, and only then, a target runs once more.
fuzz: ## run each fuzz target for FUZZTIME
	@for pkg in $$(go list -f '{{.ImportPath}}' work || echo failed); do \
		for target in $$(go test -list '^Fuzz' $$pkg || echo Fuzz-list-failed); do \
			case $$target in Fuzz*) ;; *) continue ;; esac; \
			echo "$$pkg $$target"; \
			fuzz() { go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$pkg 2>&1; }; \
			said=$$(fuzz) || { echo "$$said"; \
				case $$said in *'Failing input'*|*panic*|*_test.go:*) exit 1 ;; *'context deadline exceeded'*) ;; *) exit 1 ;; esac; \
				echo "once more: the time was up while the fuzzer asked for more"; said=$$(fuzz) || { echo "$$said"; exit 1; }; }; \
			echo "$$said" | tail -n 1; \
		done || exit 1; \
	done

tidy-check: ## go.mod and go.sum of every module are as go mod tidy leaves them
	@for dir in $(ALL_MODULES); do echo "tidy-check $${dir#$(CURDIR)}/"; (cd $$dir && GOWORK=off go mod tidy -diff) || exit 1; done

standalone: ## test each module by itself, at the lowest versions that it asks for
	@for dir in $(MODULES); do echo "standalone $${dir#$(CURDIR)}/"; (cd $$dir && GOWORK=off go test ./...) || exit 1; done

latest: ## test what is released with the latest version of everything it requires
	@export BALLAST_VECTORS="$${BALLAST_VECTORS:-$(CURDIR)/../shared/vectors}"; \
	tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && \
	git ls-files -z --cached --others --exclude-standard > "$$tmp/files" && \
	tar --null -cf "$$tmp/tree.tar" -T "$$tmp/files" && tar -xf "$$tmp/tree.tar" -C "$$tmp" && \
	for dir in $(RELEASED); do \
		(cd "$$tmp/$$dir" && export GOWORK=off && go get $$(go list -mod=mod -m -f '{{if not (or .Main .Indirect .Replace)}}{{.Path}}@latest{{end}}' all) && \
			go mod tidy && go test ./...) || exit 1; \
	done

cross: ## build every package for the platforms that no test runs on
	@for target in linux/arm64 darwin/arm64 windows/amd64; do \
		echo "build for $$target"; \
		CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} go build work || exit 1; \
	done

vuln: ## known vulnerabilities that the code can reach (asks vuln.go.dev)
	@for dir in $(MODULES); do echo "govulncheck $${dir#$(CURDIR)}/"; (cd $$dir && $(TOOL) govulncheck ./...) || exit 1; done

bench: ## measure PARTS (medians, batching, ratelimit, breaker, retry, auth, observability, stack; default all) of benchmarks/RESULTS.md anew
	@benchmarks/report.sh $(COUNT) $(PARTS) > benchmarks/RESULTS.tmp || (rm -f benchmarks/RESULTS.tmp; exit 1)
	@mv benchmarks/RESULTS.tmp benchmarks/RESULTS.md
