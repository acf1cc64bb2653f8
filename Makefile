# make demo          a sample mailbox in a real Dovecot, popbridge in front of it, everything fetched by curl; stays up
# make demo ONCE=1   the same, and ends after the fetch
# make test          installs what the tests need, builds, runs everything; the last line counts
# make deb           the Debian package, target/debian/popbridge_VERSION-1_ARCHITECTURE.deb
# make torture-ci    what takes longer than a test should, 20 minutes at most: the package made, installed, used and purged in a fresh
#                    Debian; the last line counts
# make check         formatting, lints, documentation: what CI asks before the tests
# make bench         installs what it needs, measures popbridge beside Dovecot (half an hour, on an otherwise idle machine),
#                    writes docs/performance.md; bench/README.md says more
# make bench REPS=1 SCENARIOS=login TARGETS=native,peer-idx,popbridge
#                    a part of it; writes target/bench/performance.md only
#                    REPS=3          repetitions, of which the medians count
#                    SCENARIOS=a,b   only these          TARGETS=a,b   only these
#                    QUICK=1         few sessions, to try the bench itself
#                    OFFICE=600      seconds that the office lasts
#                    SLOW=1          also the peer's first list over 40 ms, 7 minutes each
#                    VARIANT=a=FILE  a target more: popbridge with these lines of configuration, too
#                    DIR=FOLDER      instead of target/bench      DOCUMENT=1   writes docs/performance.md in any case
# make profile       where popbridge's CPU time goes (perf) and how often it allocates memory (heaptrack), five minutes; prints two tables
# cargo bench        micro benchmarks of the parts that touch every octet or every message (benches/); two minutes
# make bench-check   formatting, lints and tests of the bench's load generator

.PHONY: demo test check bench profile bench-check deps deb torture-ci

demo:
	@scripts/demo.sh $(if $(ONCE),--once)

test: deps
	@scripts/test.sh

deb:
	@scripts/package.sh

torture-ci:
	@scripts/package_test.sh

check:
	cargo fmt --check
	cargo clippy --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet

bench:
	@scripts/install-deps.sh bench
	@BENCH_COMMAND="make bench $(MAKEOVERRIDES)" bench/run.py \
	  $(if $(REPS),--reps $(REPS)) $(if $(SCENARIOS),--scenarios $(SCENARIOS)) $(if $(TARGETS),--targets $(TARGETS)) \
	  $(if $(QUICK),--quick) $(if $(OFFICE),--office $(OFFICE)) $(if $(SLOW),--slow) $(if $(DIR),--dir "$(DIR)") \
	  $(foreach variant,$(VARIANT),--variant "$(variant)") $(if $(DOCUMENT),--document)

profile:
	@scripts/install-deps.sh profile
	@$(if $(DIR),BENCH_DIR="$(DIR)") bench/profile.py

bench-check:
	cd bench/load && cargo fmt --check
	cd bench/load && cargo clippy --all-targets --quiet -- -D warnings
	cd bench/load && cargo test --quiet

deps:
	@scripts/install-deps.sh test
