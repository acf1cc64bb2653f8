#!/usr/bin/env bash
# Installs the Debian package into a fresh Debian without systemd, uses it as an operator would, and purges it. Ends with one line of
# counts: "N passed, N failed".
#
#   scripts/package_test.sh           makes the package first (scripts/package.sh)
#   scripts/package_test.sh FILE      tests this one
#
# Needs root (or sudo) for the chroot and for a network of its own, in which the ports of the default configuration are free.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

if [ "${1:-}" != --inside ]; then
  scripts/install-deps.sh package
  package=${1:-} again=
  made() { find target/debian -name '*.deb' -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2; }
  if [ -z "$package" ]; then
    scripts/package.sh
    package=$(made)
    cp "$package" target/package/first.deb
    scripts/package.sh --no-build
    if cmp target/package/first.deb "$package"; then again=same; else again=differs; fi
  fi
  as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
  # The system that the package is for: this one. Kept for the next time; the package brings nothing that is in it.
  # shellcheck disable=SC1091 # the system's
  . /etc/os-release
  base=target/package/base-$VERSION_CODENAME.tar
  if [ ! -e "$base" ]; then
    # shellcheck disable=SC2016 # apt's variables
    mirror=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
      awk -v name="$VERSION_CODENAME" '$1 == name { print $2; exit }')
    mkdir -p target/package
    folder=$(mktemp -d)
    # What the package depends on must be there beforehand: dpkg fetches nothing.
    if ! as_root debootstrap --variant=minbase --include=ca-certificates "$VERSION_CODENAME" "$folder" \
      "${mirror:-http://deb.debian.org/debian}" >target/package/debootstrap.log 2>&1; then
      tail -n 20 target/package/debootstrap.log >&2
      as_root rm -rf "$folder"
      exit 1
    fi
    as_root tar -C "$folder" --exclude=./var/cache/apt --exclude=./var/lib/apt -cf "$base.new" .
    as_root rm -rf "$folder"
    mv "$base.new" "$base"
  fi
  as_root unshare --net scripts/package_test.sh --inside "$package" "$base" "$again"
  exit
fi

package=$2 base=$3 again=$4
ip link set lo up
dir=$(mktemp -d "${TMPDIR:-/tmp}/popbridge-package.XXXXXX")
chmod 755 "$dir"
root=$dir/root
pids=()
cleanup() {
  trap - EXIT INT TERM
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

passed=0 failed=0
# A sentence, and a command that succeeds if it is true; what it prints is shown if it is not.
that() {
  local sentence=$1
  shift
  if "$@" >"$dir/said" 2>&1; then
    passed=$((passed + 1))
    echo "ok      $sentence"
  else
    failed=$((failed + 1))
    echo "FAILED  $sentence"
    sed 's/^/        /' "$dir/said"
    [ ! -s "$dir/popbridge.log" ] || tail -n 5 "$dir/popbridge.log" | sed 's/^/        /'
  fi
}
not() { ! "$@"; }

in_root() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C chroot "$root" "$@"; }
# Every path with its kind, owner, mode, and where it is a link its target; what dpkg keeps for itself and its caches left out.
everything() {
  (cd "$root" && find . -printf '%y %u:%g %m %p %l\n' |
    grep -vE ' \./(var/lib/dpkg|var/log/(dpkg\.log|alternatives\.log)|var/cache)(/|  ?$)' | LC_ALL=C sort)
}
# Sends lines to a port of this machine and prints the first line of each answer, the greeting's first.
talk() {
  python3 - "$@" <<'PY'
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10) as connection:
    connection.settimeout(30)
    answers = connection.makefile("rb")
    print(answers.readline().decode().strip())
    for line in sys.argv[2:]:
        connection.sendall(line.encode() + b"\r\n")
        print(answers.readline().decode().strip())
PY
}
says() { # expected, command...
  local expected=$1 got
  shift
  got=$("$@")
  echo "$got"
  grep -qE -- "$expected" <<<"$got"
}
ready() { # pid
  for _ in $(seq 300); do
    [ "$(curl --silent --output "$dir/ready" --write-out '%{http_code}' http://127.0.0.1:9110/readyz)" = 200 ] && return
    kill -0 "$1" 2>/dev/null || return 1
    sleep 0.1
  done
  return 1
}
# As the unit does it: its command, as a user of its own without any rights, with the folder that StateDirectory= makes.
user=61234
serve() {
  local command
  command=$(sed -n 's/^ExecStart=[-@:+!]*//p' "$root/usr/lib/systemd/system/popbridge.service")
  install -d -m 700 -o "$user" -g "$user" "$root/var/lib/popbridge"
  # shellcheck disable=SC2086 # words of a command line
  env -i "PATH=$PATH" STATE_DIRECTORY=/var/lib/popbridge chroot --userspec="$user:$user" "$root" $command >>"$dir/popbridge.log" 2>&1 &
  popbridge=$!
  pids+=("$popbridge")
  ready "$popbridge"
}
ends() { # after a signal, with exit code 0
  kill -"$1" "$popbridge"
  wait "$popbridge"
}
listens_on_loopback_only() {
  # Local addresses of sockets in state LISTEN (0A), hexadecimal.
  awk '$4 == "0A" { print $2 }' /proc/net/tcp /proc/net/tcp6 | sort -u >"$dir/listening"
  cat "$dir/listening"
  [ "$(grep -c '^0100007F:' "$dir/listening")" = 3 ] && ! grep -qv '^0100007F:' "$dir/listening"
}
pages_are_clean() {
  local page
  for page in "$root"/usr/share/man/man1/popbridge*.1.gz; do
    zcat "$page" | LC_ALL=C.UTF-8 groff -man -Tutf8 -ww -z 2>&1 | sed "s|^|${page##*/}: |"
  done | tee /dev/stderr | not grep -q .
}
scripts_are_clean() { shellcheck packaging/debian/post* packaging/debian/prerm scripts/package.sh scripts/package_test.sh; }

echo "== $package"
mkdir "$root"
tar -C "$root" -xpf "$base"
chmod 755 "$root" # mktemp made it for root only
cp "$package" "$root/popbridge.deb"
everything >"$dir/before"
version=$(dpkg-deb --field "$package" Version)

echo '== installed'
that 'dpkg installs it with what the base system and ca-certificates bring' in_root dpkg --install /popbridge.deb
that 'the service is enabled' test -L "$root/etc/systemd/system/multi-user.target.wants/popbridge.service"
that 'the socket is not' not test -e "$root/etc/systemd/system/sockets.target.wants/popbridge.socket"
that 'the configuration may be read by the user that the unit makes up' test "$(stat --format=%a "$root/etc/popbridge/popbridge.toml")" = 644
that 'everything belongs to root' not grep -vE '^\. (root:root|0:0) ' <(dpkg-deb --contents "$package" | awk '{ sub("/", ":", $2); print ".", $2, $6 }')
that 'the manual pages have nothing that groff warns of' pages_are_clean
that 'the manual has pages for commands of commands' test -e "$root/usr/share/man/man1/popbridge-client-add.1.gz"
that 'bash accepts its completions' bash -n "$root/usr/share/bash-completion/completions/popbridge"
that 'zsh and fish have theirs' test -s "$root/usr/share/zsh/vendor-completions/_popbridge" -a -s "$root/usr/share/fish/vendor_completions.d/popbridge.fish"
commit=$(git rev-parse --short=12 HEAD 2>/dev/null || true)
that 'the program tells its version and commit' says "^popbridge ${version%-*}${commit:+ \($commit(, changed)?\)}$" in_root popbridge --version

echo '== with the configuration as it was installed'
that 'check finds nothing wrong, and says what is missing' says 'no mail server is configured yet' in_root popbridge check
that 'it serves' serve
that 'nobody else than this machine can connect' listens_on_loopback_only
that 'a program hears that the bridge is not set up, not that its password is wrong' \
  says '^-ERR \[SYS/PERM\] ' talk 1110 'USER ann@example.com' 'PASS secret'
that 'the log does, too' says 'no mail server is configured yet' cat "$dir/popbridge.log"
that 'it ends when systemd stops it' ends TERM

echo '== in front of a mail server'
demo=$dir/demo
install -d -o nobody -g nogroup "$demo" "$demo/run"
python3 scripts/demo_mail.py fill "$demo/mail/demo/Maildir" "$demo/originals"
chown -R nobody:nogroup "$demo/mail"
case $(dovecot --version) in 2.3.*) dovecot=2.3 ;; *) dovecot=2.4 ;; esac
sed -e "s|@dir@|$demo|g" -e 's|@user@|nobody|g' -e 's|@group@|nogroup|g' -e 's|@imap@|1143|g' \
  "scripts/demo-dovecot-$dovecot.conf" >"$demo/dovecot.conf"
setpriv --reuid=nobody --regid=nogroup --clear-groups dovecot -F -c "$demo/dovecot.conf" >"$demo/dovecot.out" 2>&1 &
pids+=($!)
cat >>"$root/etc/popbridge/popbridge.toml" <<'TOML'
[upstream.office]
url = "imap://127.0.0.1:1143"
[account.demo]
upstream = "office"
login = "demo"
password_file = "demo.password"
TOML
(umask 077 && echo demo >"$root/etc/popbridge/demo.password")
chown "$user" "$root/etc/popbridge/demo.password"
that 'it serves' serve
all_mail_comes() { # user:password
  local count
  mkdir -p "$dir/fetched"
  rm -f "$dir/fetched"/*
  count=$(curl --silent --show-error --user "$1" pop3://127.0.0.1:1110/ | wc -l)
  [ "$count" -gt 0 ] || return 1
  curl --silent --show-error --user "$1" --output "$dir/fetched/#1" "pop3://127.0.0.1:1110/[1-$count]" || return 1
  diff -rq "$demo/originals" "$dir/fetched"
}
that 'a program fetches all mail with the mailbox'"'"'s password' all_mail_comes demo:demo
# The operator is root; the service is not.
in_root sh -c 'echo s3cret | popbridge client add desk1 --account demo --password-stdin' >"$dir/said" 2>&1 || true
that 'root adds a client while it serves, and the client fetches all mail' all_mail_comes desk1:s3cret
that 'all state belongs to the service'"'"'s user' not grep -q . <(find "$root/var/lib/popbridge" ! -uid "$user")
that 'it ends when systemd stops it' ends TERM

echo '== upgraded, removed, purged'
cp "$root/etc/popbridge/popbridge.toml" "$dir/edited.toml"
rm "$root/etc/systemd/system/multi-user.target.wants/popbridge.service"
that 'it is installed over itself' in_root dpkg --install /popbridge.deb
that 'the operator'"'"'s configuration stays' cmp "$dir/edited.toml" "$root/etc/popbridge/popbridge.toml"
that 'what the operator has disabled stays disabled' not test -e "$root/etc/systemd/system/multi-user.target.wants/popbridge.service"
that 'it is removed' in_root dpkg --remove popbridge
that 'the program is gone' not test -e "$root/usr/bin/popbridge"
that 'configuration and state are not' test -s "$root/etc/popbridge/popbridge.toml" -a -s "$root/var/lib/popbridge/state.db"
# As it would be under systemd.
mkdir -p "$root/var/lib/private"
mv "$root/var/lib/popbridge" "$root/var/lib/private/popbridge"
ln -s private/popbridge "$root/var/lib/popbridge"
that 'it is purged' in_root dpkg --purge popbridge
that 'what the operator has put beside the configuration stays' test -s "$root/etc/popbridge/demo.password"
rm -r "$root/etc/popbridge"
rmdir --ignore-fail-on-non-empty "$root/var/lib/private"
everything >"$dir/after"
that 'nothing else is left' diff "$dir/before" "$dir/after"

echo '== made'
that 'the scripts are clean' scripts_are_clean
[ -z "$again" ] || that 'made twice it is the same, octet for octet' says '^same$' echo "$again"
printf '%s, %s, %s octets\n' "$(basename "$package")" "$(sha256sum <"$package" | cut -c1-16)" "$(stat --format=%s "$package")"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
