# make demo          a sample mailbox in a real Dovecot, popbridge in front of it, everything fetched by curl; stays up
# make demo ONCE=1   the same, and ends after the fetch
# make test          installs what the tests need, builds, runs everything; the last line counts
# make check         formatting, lints, documentation: what CI asks before the tests

.PHONY: demo test check deps

demo:
	@scripts/demo.sh $(if $(ONCE),--once)

test: deps
	@scripts/test.sh

check:
	cargo fmt --check
	cargo clippy --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet

deps:
	@scripts/install-deps.sh test
