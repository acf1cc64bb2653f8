"""Dovecot: the upstream with its own POP3, and the peers, which are POP3 servers that read by IMAP as the bridge does."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from .places import BENCH, Account, BenchError, Places, program
from .processes import Child, Ports, wait_for_port

OPENSSL_CONFIG = """
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = localhost
[extensions]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:localhost, IP:127.0.0.1
"""


def version() -> str:
    """What `dovecot --version` says."""
    dovecot = program("dovecot", "dovecot-imapd")
    for worker in ("imap", "pop3"):
        if not Path(f"/usr/lib/dovecot/{worker}").exists():
            raise BenchError(f"Dovecot's {worker} is missing: apt-get install --no-install-recommends dovecot-{worker}d")
    return subprocess.run([dovecot, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def make_certificate(places: Places, account: Account) -> None:
    """Self-signed, for 127.0.0.1: the bridge is told to trust it, and checks it as it checks any."""
    if places.key.exists() and places.certificate.exists():
        return
    openssl = program("openssl", "openssl")
    config = places.data / "openssl.cnf"
    config.write_text(OPENSSL_CONFIG)
    command: list[str | Path] = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-config", config]
    command += ["-keyout", places.key, "-out", places.certificate]
    subprocess.run(command, check=True, capture_output=True)
    account.give(places.key)


class Dovecot:
    """One Dovecot with a folder, a configuration and ports of its own."""

    def __init__(self, kitchen: Kitchen, kind: str, name: str, listeners: list[str], values: dict[str, str]) -> None:
        self.kitchen = kitchen
        self.name = name
        self.folder = kitchen.places.run / name
        self.ports = {listener: kitchen.ports.free() for listener in listeners}
        self.child: Child | None = None
        values = values | {listener: str(port) for listener, port in self.ports.items()}
        values |= {"dir": str(self.folder), "user": kitchen.account.user, "group": kitchen.account.group}
        values |= {"cert": str(kitchen.places.certificate), "key": str(kitchen.places.key)}
        text = (BENCH / "dovecot" / f"{kind}-{kitchen.series}.conf").read_text()
        for key, value in values.items():
            text = text.replace(f"@{key}@", value)
        kitchen.account.folder(self.folder)
        self.config = self.folder / "dovecot.conf"
        self.config.write_text(text)

    def pids(self) -> list[int]:
        return [self.child.pid] if self.child else []

    def start(self) -> None:
        """Starts it, after it was ended if it ran; on the same ports, because others have been told them."""
        if self.child:
            self.child.stop()
        output = self.folder / "stderr"
        command: list[str | Path] = [self.kitchen.program, "-F", "-c", self.config]
        with output.open("w") as stderr:
            account = self.kitchen.account.adopt()
            self.child = Child(self.name, command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, **account)
        for port in self.ports.values():
            wait_for_port(self.child, port, output)


class Kitchen:
    """Makes Dovecots."""

    def __init__(self, places: Places, account: Account, ports: Ports) -> None:
        self.places = places
        self.account = account
        self.ports = ports
        self.program = program("dovecot", "dovecot-imapd")
        self.version = version()
        self.series = "2.3" if self.version.startswith("2.3.") else "2.4"

    def upstream(self) -> Dovecot:
        """IMAP and POP3 on the Maildirs."""
        values = {"mail": str(self.places.data / "mail")}
        return Dovecot(self, "upstream", "upstream", ["imap", "imaps", "pop3", "pop3s"], values)

    def peer(self, name: str, upstream: int, tls: bool, home: Path) -> Dovecot:
        """POP3 by IMAP from the port `upstream`, with an index in `home`."""
        self.account.folder(home)
        values = {"upstream": str(upstream), "home": str(home), "imapc_ssl": "imaps" if tls else "no"}
        return Dovecot(self, "peer", name, ["pop3", "pop3s"], values)


def wipe(home: Path, names: list[str]) -> None:
    """Removes the indexes of these users."""
    for name in names:
        shutil.rmtree(home / name, ignore_errors=True)
