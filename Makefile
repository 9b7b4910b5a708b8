# The developer loop. `make` alone says what there is; `make test` is exactly what CI runs.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

NODE_MAJOR_MIN := 20
# Where each phase of `make test` notes how long it took.
PHASES := target/phases.txt
# Every example in Node is a package of its own, installed and built the same way.
NODE_EXAMPLES := $(patsubst %/package.json,%,$(wildcard examples/*/package.json))

# The adapters in the real runtimes: Next.js, Bun, Deno, workerd and others, from their packages.
HOSTS := tests/hosts

# $(call phase,NAME,COMMANDS): runs the commands, chained by &&, under a headline and notes the seconds.
define phase
@echo; echo "== $(1)"; start=$$SECONDS; { $(2); } || exit 1; mkdir -p $(dir $(PHASES)); \
	printf '%6d s  %s\n' "$$((SECONDS - start))" "$(1)" | tee -a $(PHASES)
endef

.PHONY: help
help: ## Show this list
	@echo "Backstitch. Usage: make <target>"; echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' \
		| while IFS=$$'\t' read -r target text; do printf '  %-10s %s\n' "$$target" "$$text"; done

.PHONY: demo
demo: tools sdk-ts-build examples dashboard ## Watch an order survive a killed handler and a killed server
	cargo build --bin backstitch
	node examples/demo/demo.mjs

.PHONY: dev
dev: tools dashboard ## Run the server for local development (port 8484, data in .backstitch/)
	cargo run --bin backstitch -- dev

.PHONY: test
test: ## Run everything CI runs: format, lints, SDKs, examples, tests, hosts
	@rm -f $(PHASES)
	@$(MAKE) --no-print-directory tools dashboard format clippy sdk-ts examples examples-test rust dashboard-test hosts
	@echo; echo "== all passed"; cat $(PHASES)

.PHONY: lint
lint: tools format clippy ## Check format and lints, and dependencies if cargo-deny is installed
	$(call phase,rust: house rules,cargo test --test tidy)
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --workspace check; \
	else echo "cargo-deny is not installed (cargo install cargo-deny --locked): licences and advisories were not checked"; fi

.PHONY: dashboard
dashboard: tools dashboard/dist/index.html ## Build the web UI, which the next build of the server holds

# Scenarios to measure (all by default), and other options of `bench`, such as BENCH="--rounds 5".
SCENARIOS :=
BENCH :=
RELEASE = $${CARGO_TARGET_DIR:-target}/release

.PHONY: bench
bench: tools sdk-ts-build ## Measure the ledger and the server in a release build
	cargo build --release -p backstitch -p backstitch-bench --bins
	$(RELEASE)/floor
	$(RELEASE)/commit-loop --open 64
	$(RELEASE)/commit-loop --open 1024
	$(RELEASE)/bench --server $(RELEASE)/backstitch --handlers $(RELEASE)/bench-handlers $(BENCH) $(SCENARIOS)

.PHONY: bench-peer
bench-peer: tools sdk-ts-build ## Measure in turns with Restate, and write bench/README.md
	cargo build --release -p backstitch -p backstitch-bench --bins
	CARGO_TARGET_DIR=$${CARGO_TARGET_DIR:-target} cargo build --release --manifest-path bench/peer/Cargo.toml
	npm --prefix bench/peer ci --no-audit --no-fund
	$(RELEASE)/bench --server $(RELEASE)/backstitch --handlers $(RELEASE)/bench-handlers \
		--peer bench/peer/node_modules/@restatedev/restate-server-*/bin/restate-server --peer-handlers $(RELEASE)/backstitch-bench-peer \
		--readme bench/README.md $(BENCH) $(SCENARIOS)

.PHONY: clean
clean: ## Remove what the other targets built
	cargo clean
	rm -rf sdk-ts/node_modules sdk-ts/dist dashboard/node_modules dashboard/dist $(HOSTS)/node_modules $(HOSTS)/hosts/next/.next $(foreach dir,$(NODE_EXAMPLES),$(dir)/node_modules $(dir)/dist)

# --- the phases of `make test`, in order -----------------------------------------------------------------------------

.PHONY: tools
tools:
	@missing() { echo "missing: $$1. $$2" >&2; exit 1; }; \
	command -v cargo >/dev/null || missing cargo "Install Rust with rustup (https://rustup.rs); rust-toolchain.toml picks the version."; \
	cargo --version >/dev/null || missing "the toolchain of rust-toolchain.toml" "Run: rustup toolchain install"; \
	command -v cc >/dev/null || missing "a C compiler" "Install gcc or clang: SQLite and the TLS library are compiled from source."; \
	command -v node >/dev/null || missing node "Install Node.js $(NODE_MAJOR_MIN) or newer (https://nodejs.org)."; \
	command -v npm >/dev/null || missing npm "It comes with Node.js; on Debian it is the package npm."; \
	major=$$(node -p 'process.versions.node.split(".")[0]'); \
	[ "$$major" -ge $(NODE_MAJOR_MIN) ] || missing "Node.js $(NODE_MAJOR_MIN) or newer" "This one is $$major."; \
	for component in fmt clippy; do cargo $$component --version >/dev/null 2>&1 || rustup component add rustfmt clippy; done

.PHONY: format
format:
	$(call phase,rust: format,cargo fmt --all --check || { echo "run: cargo fmt --all" >&2; false; })

.PHONY: clippy
clippy:
	$(call phase,rust: clippy,cargo clippy --workspace --all-targets --locked -- -D warnings)

.PHONY: rust
rust:
	$(call phase,rust: tests,cargo test --workspace --locked)

.PHONY: sdk-ts-build
sdk-ts-build: sdk-ts/node_modules/.installed
	$(call phase,sdk-ts: build,npm --prefix sdk-ts run build)

.PHONY: sdk-ts
sdk-ts: sdk-ts-build
	$(call phase,sdk-ts: test,npm --prefix sdk-ts test)

.PHONY: examples
examples: $(NODE_EXAMPLES:%=%/node_modules/.installed)
	$(foreach dir,$(NODE_EXAMPLES),$(call phase,$(dir): build,npm --prefix $(dir) run build --if-present)$(newline))

.PHONY: examples-test
examples-test:
	$(foreach dir,$(NODE_EXAMPLES),$(call phase,$(dir): test,npm --prefix $(dir) test)$(newline))

# Everything that the build reads; its index is written last.
dashboard/dist/index.html: dashboard/node_modules/.installed $(wildcard dashboard/*.ts dashboard/*.json dashboard/*.html) \
		$(shell find dashboard/src dashboard/public -type f 2>/dev/null)
	$(call phase,dashboard: build,npm --prefix dashboard run build)
	@touch $@

.PHONY: dashboard-test
# With the server that the Rust tests have built: another selection of packages would build it anew, with other features.
dashboard-test: sdk-ts-build dashboard/dist/index.html
	$(call phase,dashboard: logic,npm --prefix dashboard test)
	cargo test --workspace --locked --no-run --quiet
	$(call phase,dashboard: journeys,npm --prefix dashboard run journeys)

# With the server that the Rust tests have built.
.PHONY: hosts
hosts: sdk-ts/dist/index.js $(HOSTS)/node_modules/.installed
	$(call phase,hosts: types,npm --prefix $(HOSTS) run check)
	$(call phase,hosts: build,npm --prefix $(HOSTS) run build)
	$(call phase,hosts: test,npm --prefix $(HOSTS) test)

sdk-ts/dist/index.js: sdk-ts/node_modules/.installed
	npm --prefix sdk-ts run build

# Packages of others by the hundred: none of their install scripts runs. The binaries among them come in packages for the platform.
$(HOSTS)/node_modules/.installed: $(HOSTS)/package-lock.json
	npm --prefix $(HOSTS) ci --ignore-scripts --no-audit --no-fund
	@mkdir -p $(@D); touch $@

# The stamp is as old as the installation, and older than the lock file when that has changed.
%/node_modules/.installed: %/package-lock.json
	npm --prefix $* ci --no-audit --no-fund
	@mkdir -p $(@D); touch $@

define newline


endef
