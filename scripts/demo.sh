#!/usr/bin/env bash
# A sample mailbox in a private Dovecot, popbridge in front of it, everything listed and fetched by curl. Then it stays up
# for trying by hand; with --once it ends. All of it lives in one temporary folder that is removed at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

once=
[ "${1:-}" = --once ] && once=yes

if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' off=$'\e[0m'; else bold='' dim='' green='' off=''; fi
step() { printf '\n%s== %s%s\n' "$bold" "$*" "$off"; }
fail() {
  printf 'demo: %s\n' "$*" >&2
  for log in "$dir"/dovecot.log "$dir"/popbridge.log; do
    [ -s "$log" ] && { echo "--- $log" >&2; tail -n 20 "$log" >&2; }
  done
  exit 1
}

scripts/install-deps.sh demo
step "Building popbridge (a minute or three the first time)"
cargo build
popbridge=${CARGO_TARGET_DIR:-target}/debug/popbridge

dir=$(mktemp -d "${TMPDIR:-/tmp}/popbridge-demo.XXXXXX")
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

# Dovecot's workers refuse to be root, so under root everything of Dovecot runs as nobody.
if [ "$(id -u)" = 0 ]; then
  user=nobody group=$(id -gn nobody)
  run_as=(setpriv "--reuid=$user" "--regid=$group" --clear-groups)
else
  user=$(id -un) group=$(id -gn)
  run_as=()
fi
chmod 755 "$dir"

read -r imap pop3 pop3s admin < <(python3 -c '
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
print(*(s.getsockname()[1] for s in sockets))')

wait_for_port() { # port, pid
  for _ in $(seq 300); do
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
    kill -0 "$2" 2>/dev/null || fail "a server ended early"
    sleep 0.1
  done
  fail "nothing listens on port $1"
}

step "A sample mailbox in Dovecot on 127.0.0.1:$imap"
python3 scripts/demo_mail.py fill "$dir/mail/demo/Maildir" "$dir/originals"
[ "$(id -u)" != 0 ] || chown -R "$user:$group" "$dir/mail"
case $(dovecot --version) in
2.3.*) version=2.3 ;;
*) version=2.4 ;;
esac
sed -e "s|@dir@|$dir|g" -e "s|@user@|$user|g" -e "s|@group@|$group|g" -e "s|@imap@|$imap|g" \
  "scripts/demo-dovecot-$version.conf" >"$dir/dovecot.conf"
install -d "$dir/run"
[ "$(id -u)" != 0 ] || chown "$user:$group" "$dir" "$dir/run"
"${run_as[@]}" dovecot -F -c "$dir/dovecot.conf" >"$dir/dovecot.out" 2>&1 &
pids+=($!)
wait_for_port "$imap" $!
echo "$(ls "$dir/originals" | wc -l) messages, $(du -sh "$dir/mail" | cut -f1); user demo, password demo"

step "popbridge in front of it"
serve=("$popbridge" serve --upstream "imap://127.0.0.1:$imap" --listen "127.0.0.1:$pop3" --tls-listen "127.0.0.1:$pop3s"
  --admin "127.0.0.1:$admin" --state "$dir/state")
echo "${dim}\$${off} ${serve[*]}"
"${serve[@]}" >"$dir/popbridge.log" 2>&1 &
pids+=($!)
wait_for_port "$pop3" $!
wait_for_port "$pop3s" $!
certificate=$dir/state/selfsigned.pem

step "Everything fetched by curl over POP3 with TLS"
curl=(curl --silent --show-error --user demo:demo --cacert "$certificate")
server=pop3s://localhost:$pop3s
"${curl[@]}" "$server/" >"$dir/list" || fail "LIST"
"${curl[@]}" --request UIDL "$server/" >"$dir/uidl" || fail "UIDL"
tr -d '\r' <"$dir/list" >"$dir/list.txt"
tr -d '\r' <"$dir/uidl" >"$dir/uidl.txt"
mkdir "$dir/fetched"
"${curl[@]}" --output "$dir/fetched/#1" "$server/[1-$(wc -l <"$dir/list.txt")]" || fail "RETR"
python3 scripts/demo_mail.py show "$dir/fetched" "$dir/list.txt" "$dir/uidl.txt"
diff -rq "$dir/originals" "$dir/fetched" || fail "what came is not what was put in"
printf '\n%sAll %s messages came through, octet for octet.%s\n' "$green" "$(ls "$dir/fetched" | wc -l)" "$off"

[ -z "$once" ] || exit 0

step "Now try it by hand (Ctrl-C ends and removes everything)"
cat <<TEXT
List, read one, read a header:
  curl -u demo:demo pop3://127.0.0.1:$pop3/
  curl -u demo:demo pop3://127.0.0.1:$pop3/3
  curl -u demo:demo -X 'TOP 4 0' pop3://127.0.0.1:$pop3/
Over TLS:
  curl --cacert $certificate -u demo:demo pop3s://localhost:$pop3s/1
Speak POP3 yourself (USER demo, PASS demo, STAT, LIST, UIDL, TOP 1 0, QUIT):
  openssl s_client -quiet -crlf -connect 127.0.0.1:$pop3s
  openssl s_client -quiet -crlf -starttls pop3 -connect 127.0.0.1:$pop3
A mail program: POP3, server 127.0.0.1, user demo, password demo
  port $pop3s with SSL/TLS, or port $pop3 with STARTTLS or without encryption (accept the self-signed certificate)
What popbridge counts, and what it logs:
  curl http://127.0.0.1:$admin/metrics
  tail -f $dir/popbridge.log
TEXT
trap 'echo; exit 0' INT
wait -n "${pids[@]}" || true
fail "a server has ended"
