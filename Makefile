# The index of every habit. `make help` lists it.

.PHONY: build demo test check compatibility audit docs minimum conformance dist packages release image smoke fuzz models sdk-parity soak bench bench-stages bench-abi bench-host bench-loss bench-hostile help

build: ## release build of the plugin and the companion
	cargo build --release -p out_sentry -p flb-sentry

demo: ## sample Kubernetes logs to issues on a page; WAIT=1 leaves the page up
	cargo build --release -p out_sentry -p flb-sentry --lib --bins --example demo
	@$${CARGO_TARGET_DIR:-target}/release/examples/demo $(if $(filter-out 0,$(WAIT)),--wait) $(ARGS)

test: ## every test, and at the end what was skipped and why
	@tests/run

check: ## format, lints with warnings as errors, dependency audit when its tool is there
	cargo fmt --check
	rustfmt --check --edition 2024 fuzz/fuzz_targets/*.rs
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --bench stages --bench abi --bench host --bench loss -- -D warnings
	@$(MAKE) --no-print-directory audit

audit: ## advisories, licenses and sources of all packages, if cargo-deny is there
	@if ! command -v cargo-deny >/dev/null; then echo "skipped: no cargo-deny"; \
	elif cargo deny fetch db; then cargo deny check; \
	else echo "skipped: advisories cannot be fetched"; cargo deny check bans licenses sources; fi

docs: ## documentation of the code in target/doc, with warnings as errors
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# The oldest supported Rust: rust-version in Cargo.toml.
MINIMUM = $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

minimum: ## compile everything, tests included, with the oldest supported Rust
	rustup toolchain install $(MINIMUM) --profile minimal
	CARGO_TARGET_DIR=target/minimum cargo +$(MINIMUM) check --workspace --all-targets --locked

conformance: build ## the C host and the packaging example against the release build, under every checker that is here
	cmake -S cmake -B target/conformance -DOUT_SENTRY_PROFILE=release \
		-DOUT_SENTRY_LIBRARY=$(CURDIR)/target/release/libout_sentry.so \
		-DOUT_SENTRY_COMPANION=$(CURDIR)/target/release/flb-sentry \
		-DOUT_SENTRY_ARM64_LIBRARY=$(wildcard $(CURDIR)/target/packages/aarch64/out_sentry.so)
	cmake --build target/conformance
	ctest --test-dir target/conformance --output-on-failure -j2

dist: ## release archives for x86_64 and aarch64 with checksums in target/dist, for glibc 2.17 and later
	@packaging/archive

packages: ## .deb and .rpm for x86_64 and arm64 in target/dist, with cargo-deb and cargo-generate-rpm; MAINTAINER='Name <address>'
	@packaging/packages

release: ## check and build release VERSION=x.y.z in target/dist: archives, packages, SBOM, checksums; TWICE=1 compares two builds
	@packaging/release "$(VERSION)"

image: ## the container image; ENGINE, TARGET, TAG, PLATFORMS, FLUENT_BIT_DIGEST, RUST_DIGEST
	@packaging/image

smoke: ## run the image IMAGE without privileges, and send one line through it
	@packaging/smoke "$(IMAGE)"

fuzz: ## each fuzz target for FUZZ_SECONDS=60, or those in TARGET; executions, edges and corpus of each
	@fuzz/run

compatibility: ## the plugin in each release of Fluent Bit that FLUENT_BITS names; WRITE=1 writes docs/compatibility.md
	cargo build --workspace
	WRITE=$(WRITE) cargo test --test system works_as_documented

models: ## delivery's threads under a scheduler, MODEL_ROUNDS=2000 times each scenario, then under the thread sanitizer
	MODEL_ROUNDS=$(or $(MODEL_ROUNDS),2000) cargo test --lib -p out_sentry delivery::model -- --nocapture
	@tests/races

sdk-parity: ## our events beside those of Sentry's SDKs for Python, Node and Rust: fields and grouping
	SDK_PARITY=1 cargo test --test system sdk:: -- --test-threads 1

soak: ## kills, full disks, long outages, slow disks and answers, and a leak watch that do not fit the gate; SOAK_MINUTES=10, SOAK_KILLS=20
	SOAK=1 cargo test --test system

bench: bench-stages bench-abi bench-host ## what a record costs, stage by stage and whole; WRITE=1 puts it into BENCHMARKS.md

bench-stages: ## decode, map, JSON and compression on the captured chunks
	@BENCH_WRITE=$(WRITE) cargo bench -q --bench stages

bench-abi: build ## the plugin alone, driven through its C ABI
	@BENCH_WRITE=$(WRITE) cargo bench -q --bench abi

bench-host: build ## inside Fluent Bit beside its own outputs
	@BENCH_WRITE=$(WRITE) cargo bench -q --bench host

bench-hostile: ## the texts that take longest, found among pairs of lines
	@cargo bench -q --bench stages -- --hostile

bench-loss: ## what faults cost the host's opentelemetry output and this one, side by side
	@cargo bench -q --bench loss

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12
