"""Where things are, and as whom Dovecot runs."""

from __future__ import annotations

import fcntl
import grp
import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

BENCH = Path(__file__).resolve().parents[1]
ROOT = BENCH.parent
DOCUMENT = ROOT / "docs" / "performance.md"

# Every user's password.
PASSWORD = "pw"

# Debian keeps Dovecot out of an ordinary user's path.
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"

# A socket's path may have 107 octets, and Dovecot's are below the folder of a server.
LONGEST_FOLDER = 107 - len("/run/peer-idx-counted/run/replication-notify-fifo")


# Files that are locked as long as they are open.
_held: list[TextIO] = []


class BenchError(Exception):
    """Something is missing or does not work; the text says what to do."""


@dataclass(frozen=True)
class Places:
    """The folders below target/bench."""

    top: Path

    @property
    def data(self) -> Path:
        """The mailboxes and what they should be: made once."""
        return self.top / "data"

    @property
    def homes(self) -> Path:
        """The peers' indexes: kept, because the first list of a large mailbox takes a peer a minute."""
        return self.top / "homes"

    @property
    def run(self) -> Path:
        """Configuration, logs and state of the servers: made anew by every run."""
        return self.top / "run"

    @property
    def results(self) -> Path:
        """Raw figures as JSON lines, one file a run."""
        return self.top / "results"

    @property
    def load(self) -> Path:
        """The load generator."""
        return self.top / "cargo" / "release" / "popbridge-load"

    @property
    def certificate(self) -> Path:
        """What all servers show."""
        return self.data / "cert.pem"

    @property
    def key(self) -> Path:
        return self.data / "key.pem"

    def lock(self) -> None:
        """Keeps other benches out until this one has ended."""
        file = (self.top / "lock").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BenchError(f"another bench is running in {self.top}") from None
        _held.append(file)

    def manifest(self, name: str) -> Path:
        """What the messages of a mailbox are."""
        return self.data / "manifest" / f"{name}.tsv"


def program(name: str, package: str) -> str:
    """The path of a program, or an error that says how to get it."""
    found = shutil.which(name, path=PATH)
    if not found:
        raise BenchError(f"{name} is missing: apt-get install --no-install-recommends {package}")
    return found


@dataclass(frozen=True)
class Account:
    """As whom Dovecot runs: the present user, or nobody under root, because its workers refuse to be root."""

    user: str
    group: str
    uid: int
    gid: int
    switch: bool

    @staticmethod
    def for_servers() -> Account:
        root = os.geteuid() == 0
        entry = pwd.getpwnam("nobody") if root else pwd.getpwuid(os.geteuid())
        group = grp.getgrgid(entry.pw_gid).gr_name
        return Account(entry.pw_name, group, entry.pw_uid, entry.pw_gid, root)

    def adopt(self) -> dict[str, Any]:
        """Options of subprocess.Popen that start a program under this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.switch else {}

    def give(self, path: Path) -> None:
        """Hands a file or folder to this account."""
        if self.switch:
            os.chown(path, self.uid, self.gid)

    def folder(self, path: Path) -> None:
        """Makes a folder of this account's."""
        path.mkdir(parents=True, exist_ok=True)
        self.give(path)

    def must_reach(self, folder: Path) -> None:
        """The servers can live in this folder. Under root: every folder on the way must let nobody pass."""
        if len(str(folder)) > LONGEST_FOLDER:
            raise BenchError(f"{folder} is too long for Dovecot's sockets: choose another one (DIR=/var/tmp/popbridge-bench)")
        if not self.switch:
            return
        for part in [folder, *folder.parents]:
            if not part.stat().st_mode & 0o001:
                raise BenchError(
                    f"Dovecot runs as {self.user} here and cannot enter {part}: run this as an ordinary user, or with"
                    " another folder for the mailboxes (DIR=/var/tmp/popbridge-bench)"
                )
