#!/usr/bin/env bash
# Installs what the demo, the tests, the bench or the package need, on Debian and its kin; elsewhere says what to install.
#
#   scripts/install-deps.sh demo    dovecot-imapd, curl, openssl, python3
#   scripts/install-deps.sh bench   dovecot-imapd, dovecot-pop3d, openssl, python3
#   scripts/install-deps.sh profile what the bench needs, perf and heaptrack
#   scripts/install-deps.sh package what the demo needs, what makes the Debian package (dpkg-dev, xz-utils), and what tries it
#                               (debootstrap, groff-base, iproute2, shellcheck)
#   scripts/install-deps.sh test    what the demo needs, dovecot-pop3d, the POP3 clients, fail2ban's filters, a program that guesses
#                               passwords, PostgreSQL, a clock that can be set, systemd's programs (it is not run), HAProxy, Chromium
#                               without windows, Prometheus, and Cyrus IMAP
#
# Quiet and quick when everything is there. Servers are neither enabled nor started: demo, tests and bench run their own as an
# ordinary user. Recommended packages are left out, because they would bring a mail server along.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
# Debian keeps PostgreSQL's programs out of the way, in a folder for each version.
for folder in /usr/lib/postgresql/*/bin; do PATH=$PATH:$folder; done

cyrus=target/cyrus # Debian's cyrus-imapd conflicts with dovecot-imapd: unpacked here, not installed

# program (or file) and the package that brings it
shared_needs="
dovecot                  dovecot-imapd
/usr/lib/dovecot/imap    dovecot-imapd
openssl                  openssl
python3                  python3"
demo_needs="$shared_needs
curl                     curl"
bench_needs="$shared_needs
/usr/lib/dovecot/pop3    dovecot-pop3d"
profile_needs="$bench_needs
perf                     linux-perf
heaptrack                heaptrack"
package_needs="$demo_needs
dpkg-shlibdeps           dpkg-dev
objcopy                  binutils
xz                       xz-utils
debootstrap              debootstrap
groff                    groff-base
ip                       iproute2
shellcheck               shellcheck"
test_needs="$demo_needs
/usr/lib/dovecot/pop3    dovecot-pop3d
fetchmail                fetchmail
getmail                  getmail6
mpop                     mpop
fail2ban-regex           fail2ban
hydra                    hydra
initdb                   postgresql
faketime                 faketime
systemd-analyze          systemd
systemd-socket-activate  systemd
haproxy                  haproxy
chromium-headless-shell  chromium-headless-shell
/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf fonts-dejavu-core
prometheus               prometheus
promtool                 prometheus"

case "${1:-}" in
demo) needs=$demo_needs ;;
bench) needs=$bench_needs ;;
profile) needs=$profile_needs ;;
package) needs=$package_needs ;;
test) needs=$test_needs ;;
*)
  echo "usage: $0 demo|bench|profile|package|test" >&2
  exit 2
  ;;
esac

missing=
while read -r program package; do
  [ -n "$program" ] || continue
  command -v "$program" >/dev/null || case " $missing " in *" $package "*) ;; *) missing="$missing $package" ;; esac
done <<<"$needs"

has_apt() { command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

undo=
trap 'eval "$undo"' EXIT

# apt-get's output is shown only if it fails. Another apt-get (unattended upgrades) is waited for.
quietly() {
  local log
  log=$(mktemp)
  if ! "$@" >"$log" 2>&1; then
    cat "$log" >&2
    echo "failed: $*" >&2
    rm -f "$log"
    exit 1
  fi
  rm -f "$log"
}

apt() { quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@"; }

updated=
update_lists() {
  [ -n "$updated" ] || apt update
  updated=yes
}

if [ -n "$missing" ]; then
  if ! has_apt; then
    echo "Please install these programs first (names of Debian's packages):$missing" >&2
    exit 1
  fi
  if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
    echo "Please run as root: apt-get install --no-install-recommends$missing" >&2
    exit 1
  fi
  echo "Installing:$missing" >&2
  # A policy-rc.d that says no keeps the packages from starting their services; an existing one is left alone.
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    undo="as_root rm -f /usr/sbin/policy-rc.d; $undo"
    printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
    as_root chmod 755 /usr/sbin/policy-rc.d
  fi
  # The packages enable their services all the same, for the next boot; they ask systemd's presets whether to.
  if command -v systemctl >/dev/null; then
    undo="as_root rm -f /etc/systemd/system-preset/00-popbridge.preset; $undo"
    as_root mkdir -p /etc/systemd/system-preset
    printf 'disable *\n' | as_root tee /etc/systemd/system-preset/00-popbridge.preset >/dev/null
  fi
  # PostgreSQL would also make a cluster of its own, which nobody here needs; a configuration that exists is left alone.
  if [[ " $missing " == *" postgresql "* ]] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    as_root mkdir -p /etc/postgresql-common/createcluster.d
    printf 'create_main_cluster = false\n' | as_root tee /etc/postgresql-common/createcluster.d/popbridge.conf >/dev/null
    undo="as_root rm -f /etc/postgresql-common/createcluster.d/popbridge.conf; $undo"
  fi
  update_lists
  # Debian allows one IMAP server: rather than remove another one that is in use here, fail and say so.
  # shellcheck disable=SC2086 # a list of words
  apt install -y --no-install-recommends --no-upgrade --no-remove $missing
fi

[ "$1" = test ] || exit 0
# Whole, and for the system as it is now: after an upgrade its libraries have other names.
lacks_libraries() { LD_LIBRARY_PATH=$1/lib ldd "$1/bin/imapd" | grep 'not found'; }
if [ -x "$cyrus/bin/imapd" ] && ! lacks_libraries "$cyrus" >/dev/null; then exit 0; fi

# The second upstream: Cyrus IMAP, unpacked into the project's own folder with the libraries that it brings.
if ! has_apt; then
  echo "The tests with Cyrus IMAP need its programs master and imapd in $cyrus/bin and their libraries in $cyrus/lib." >&2
  exit 1
fi
if ! apt-cache show cyrus-imapd >/dev/null 2>&1; then
  update_lists
fi
echo "Unpacking Cyrus IMAP into $cyrus" >&2
work=$(mktemp -d)
undo="rm -rf '$work' '$cyrus.new'; $undo"
# What an installation would add ("Inst name (version"; an upgrade says "Inst name [old] (new") is only asked for, not done.
plan() { apt-get install --simulate --no-install-recommends cyrus-imapd; }
packages=$(plan | awk '$1 == "Inst" && $3 !~ /^\[/ && $2 ~ /^(cyrus|lib)/ { print $2 }' | grep -vE '^(libclamav|libmspack|libzephyr|libsigsegv)')
(
  cd "$work"
  # shellcheck disable=SC2086 # a list of words
  if ! apt-get download $packages >log 2>&1; then
    # the lists were older than the archive
    update_lists
    quietly apt-get download $packages
  fi
  for package in *.deb; do dpkg-deb -x "$package" all; done
)
rm -rf "$cyrus"
mkdir -p "$cyrus.new/bin" "$cyrus.new/lib"
cp "$work"/all/usr/lib/cyrus/bin/{master,imapd} "$cyrus.new/bin/"
find "$work/all" -path '*/lib/*' -name '*.so*' -not -path '*/perl*' -exec cp -P {} "$cyrus.new/lib/" \;
absent=$(lacks_libraries "$cyrus.new" || true)
if [ -n "$absent" ]; then
  printf 'Cyrus IMAP lacks libraries:\n%s\n' "$absent" >&2
  exit 1
fi
mv "$cyrus.new" "$cyrus"
