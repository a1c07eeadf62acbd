# Every task of this repository. `make` alone lists them.

SEEDS ?= 50
FIRST_SEED ?= 1
INPUTS ?= 10000000
SEED ?= 1
TEST_ARGS ?=
BENCH ?=
BENCH_JSON ?=

# scripts/tools puts the pinned check tools here; they win over others in PATH.
TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/roundsman-tools
export PATH := $(TOOLS)/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: demo run test check simulate mutants fuzz bench bench-plot counts vectors baseline data help

demo: ## play one day of sales visits against a server of its own, then stop
	cargo run --release -p roundsman -- demo

run: ## the demo, with the server left running
	cargo run --release -p roundsman -- demo --keep-running

# The waits for the disk are saved unless asked for; the test that lets PostgreSQL crash has one of its own, which waits.
test: export ROUNDSMAN_TEST_PG_FAST ?= 1
# A change is judged by the same cases each time. Others are looked for with another seed.
test: export PROPTEST_RNG_SEED ?= 1
test: ## all tests, on SQLite and on a PostgreSQL of their own (TEST_ARGS='...' goes to the runner)
	scripts/node test
	@if command -v cargo-nextest >/dev/null; then \
		exec scripts/postgres cargo nextest run --workspace $(TEST_ARGS); \
	else \
		exec scripts/postgres cargo test --workspace $(TEST_ARGS); \
	fi

check: ## formatting, lints, documentation, protocol, dependencies
	scripts/tools
	cargo fmt --all --check
	cd proto && buf lint && buf breaking --against baseline.txtpb
	scripts/node check
	cargo machete
	cargo deny --workspace check --hide-inclusion-graph bans licenses sources
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --workspace

simulate: ## replay whole days of lost and repeated messages (SEEDS=50 FIRST_SEED=1)
	cargo run --release -p roundsman-tests --bin simulate -- --seeds $(SEEDS) --first-seed $(FIRST_SEED)

fuzz: ## send changed messages to every decoder and every door (INPUTS=10000000 SEED=1)
	cargo run --release -p roundsman-tests --bin fuzz -- --inputs $(INPUTS) --seed $(SEED)

mutants: ## put bugs into a copy of the product, one at a time, and see that the simulation finds each (goes on where it stopped)
	scripts/mutants

bench: ## what the server does beside what the machine can do, on SQLite and on a PostgreSQL of its own that keeps what it acknowledges (BENCH=orders for a part, BENCH=large for what takes minutes, BENCH_JSON=file)
	cargo build --release -p roundsman && ROUNDSMAN_TEST_PG_FAST=0 scripts/postgres cargo run --release -p roundsman-loadtest -- \
		$(if $(filter large,$(BENCH)),--large,$(if $(BENCH),--only $(BENCH))) $(if $(BENCH_JSON),--json $(BENCH_JSON))

bench-plot: ## draw curves of growth into docs/ from the figures of a run (BENCH_JSON=file)
	cargo run --release -p roundsman-loadtest -- plot $(BENCH_JSON) docs

counts: ## write down anew what operations cost in statements, bytes and allocations, to which tests hold them
	ROUNDSMAN_WRITE_COUNTS=1 scripts/postgres cargo test -p roundsman-tests cost

vectors: ## write the test vectors of the protocol again
	cargo run -p roundsman-tests --bin vectors

baseline: ## at a release: from now on `make check` holds the protocol to what it is at this moment
	scripts/tools
	cd proto && buf build --exclude-source-info -o baseline.txtpb

data: ## extract the outlets of the demo again
	scripts/extract-outlets

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
