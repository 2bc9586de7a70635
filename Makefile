# The commands of a person who works with floatup; `make help` lists them.
# rustup and cargo put programs into ~/.cargo/bin, which an open shell may not know yet.

export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)

# Arguments of floatup, such as: make run ARGS="--listen 127.0.0.1:9000"
ARGS ?=

# How long `make soak` takes.
MINUTES ?= 60

.PHONY: run test test-obs lint bench soak help

run: ## Install what is missing, build, and start floatup; ARGS are its arguments
	@.ci/setup run
	@cargo build --release
	@exec target/release/floatup $(ARGS)

test: ## Install what is missing and run every test, and without the libav libraries what they change
	@.ci/setup test
	cargo nextest run --profile ci
	cargo test --doc
	cargo nextest run --profile without-libav --no-default-features
	cargo test --doc --no-default-features

test-obs: ## Of these, only the tests with a real OBS Studio, which need Linux
	@.ci/setup test
	cargo nextest run --profile ci --test obs

lint: ## Format, lints, documentation, and that benches and fuzz targets compile
	@.ci/setup lint
	cargo fmt --check
	cargo fmt --check --manifest-path tests/fuzz/Cargo.toml
	cargo clippy --all-targets -- -D warnings
	cargo clippy --all-targets --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items
	cargo clippy --locked --manifest-path tests/fuzz/Cargo.toml --target-dir target -- -D warnings

bench: ## Measure, peers too, and write docs/benchmarks*.md; needs a machine that does nothing else
	@.ci/setup bench
	cargo bench --bench paint
	cargo bench --bench sources -- --out docs/benchmarks-sources.md
	cargo bench --bench load -- --out docs/benchmarks-load.md
	cargo bench --bench service -- --out docs/benchmarks-service.md
	cargo bench --bench table
	cargo bench --bench table -- --only burn-in --out docs/benchmarks-burn-in.md

soak: ## Let a service run for MINUTES with spikes, reconnects and a slow reader, and write docs/soak.md
	@.ci/setup bench
	cargo bench --bench service -- soak $(MINUTES) --out docs/soak.md

help: ## List these commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile
