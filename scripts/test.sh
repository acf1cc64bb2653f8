#!/usr/bin/env bash
# Runs all tests and ends with one line of counts: "N passed, N failed". Exit code: cargo's.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test --no-fail-fast "$@" 2>&1 | tee "$log"
code=${PIPESTATUS[0]}

# each test binary says: "test result: ok. 12 passed; 0 failed; 0 ignored; ..."
awk '/^test result: / { for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) passed += $(i - 1); if ($i ~ /^failed/) failed += $(i - 1) } }
     END { printf "%d passed, %d failed\n", passed, failed }' "$log"
exit "$code"
