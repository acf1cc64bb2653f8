#!/usr/bin/env bash
# Makes the Debian package of the commit that is checked out: target/debian/popbridge_VERSION-1_ARCHITECTURE.deb. Its path is the last line.
#
#   scripts/package.sh              builds popbridge first
#   scripts/package.sh --no-build   takes the binary that is there
#
# The same commit, built by the same compiler in the same folder, gives the same octets.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo_deb=3.8.0 # what it makes is looked at by scripts/package_test.sh

scripts/install-deps.sh package
tools=$PWD/target/tools
if [ "$("$tools/bin/cargo-deb" --version 2>/dev/null)" != "$cargo_deb" ]; then
  # Without its default features it needs no liblzma; the xz program does it.
  cargo install cargo-deb --quiet --locked --version "$cargo_deb" --no-default-features --root "$tools"
fi

[ "${1:-}" = --no-build ] || cargo build --release --locked
popbridge=${CARGO_TARGET_DIR:-target}/release/popbridge

# The time of everything in the package: the commit's.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat --format=%Y CHANGELOG.md)}
export SOURCE_DATE_EPOCH
umask 022

# What the program says of itself, whatever is in the environment here.
made=target/package
rm -rf "$made"/man "$made"/completions
mkdir -p "$made"/man "$made"/completions
env -i "$popbridge" man "$made/man"
for shell in bash zsh fish; do env -i "$popbridge" completions "$shell" >"$made/completions/popbridge.$shell"; done

# Debian's form; what has changed is in CHANGELOG.md, which is there, too.
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
maintainer=$(sed -n 's/^maintainer = "\([^"]*\)".*/\1/p' Cargo.toml)
cat >"$made/changelog" <<TEXT
popbridge ($version-1) stable; urgency=medium

  * Version $version. What is new: /usr/share/doc/popbridge/CHANGELOG.md

 -- $maintainer  $(LC_ALL=C date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")
TEXT

"$tools/bin/cargo-deb" --no-build --locked --compress-system --quiet
