"""popbridge, started as an operator would: a configuration file, a state folder of its own, metrics on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from .places import Places
from .processes import Child, Ports, wait_for_port

CONFIG = """\
state = "{folder}/state"
[[listen]]
address = "127.0.0.1:{pop3}"
tls = "off"
[[listen]]
address = "127.0.0.1:{pop3s}"
tls = "implicit"
[admin]
address = "127.0.0.1:{admin}"
[upstream.bench]
url = "{scheme}://127.0.0.1:{upstream}"
ca = "{ca}"
{extra}
"""


class Bridge:
    """One popbridge: can be started, ended, and emptied of what it knows."""

    def __init__(self, name: str, binary: Path, places: Places, ports: Ports, upstream: int, tls: bool, extra: str) -> None:
        self.name = name
        self.binary = binary
        self.places = places
        self.free_ports = ports
        self.upstream = upstream
        self.tls = tls
        self.extra = extra
        self.folder = places.run / name
        self.ports: dict[str, int] = {}
        self.child: Child | None = None

    def pids(self) -> list[int]:
        return [self.child.pid] if self.child else []

    def start(self) -> None:
        """Starts it, after it was ended if it ran; its state stays."""
        self.stop()
        self.folder.mkdir(parents=True, exist_ok=True)
        # Other ports each time: some time after a bench's many connections the old ones may be taken.
        self.ports = {kind: self.free_ports.free() for kind in ("pop3", "pop3s", "admin")}
        config = self.folder / "popbridge.toml"
        config.write_text(
            CONFIG.format(
                folder=self.folder,
                scheme="imaps" if self.tls else "imap",
                upstream=self.upstream,
                ca=self.places.certificate,
                extra=self.extra,
                **self.ports,
            )
        )
        log = self.folder / "log"
        with log.open("a") as output:
            command: list[str | Path] = [self.binary, "serve", "--config", config]
            self.child = Child(self.name, command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        for port in self.ports.values():
            wait_for_port(self.child, port, log)

    def stop(self) -> None:
        if self.child:
            self.child.stop()
            self.child = None

    def has_ended(self) -> bool:
        return self.child is not None and self.child.ended()

    def forget_everything(self) -> None:
        """As if it were started for the first time."""
        self.stop()
        shutil.rmtree(self.folder / "state", ignore_errors=True)
        self.start()
