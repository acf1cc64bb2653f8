"""Who is measured: one table of columns, and the servers that stand behind them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .bridge import Bridge
from .dovecot import Dovecot, Kitchen
from .places import Places
from .processes import Ports
from .relay import FAR, Relay
from .scenarios import Scenario, Way

# What the body cache matters for.
BY_MEMORY = ("retr-seq", "retr-pipe", "retr-8x", "top-seq", "top-pipe", "wan-retr200", "wan-retr200p", "wan-top200p")

NO_CACHE = '[limits]\nbody_cache = "0B"\n'

# What has a goal for the first list of all.
BY_COLD = ("uidl100k", "wan-uidl10k")


@dataclass(frozen=True)
class Target:
    """A column of the table."""

    name: str
    kind: Literal["native", "peer", "popbridge"]
    what: str
    # Knows nothing of the mailbox before each run.
    cold: bool = False
    # Its upstream is reached by TLS.
    imaps: bool = False
    # Lines of popbridge's configuration.
    extra: str = ""
    # Only these scenarios; empty: all that make sense.
    only: tuple[str, ...] = ()

    def runs(self, scenario: Scenario, slow: bool) -> bool:
        """Whether the scenario is measured for this target."""
        if self.kind not in scenario.kinds or (self.only and scenario.name not in self.only):
            return False
        if self.kind == "native" and scenario.way != "near":
            return False  # it has no upstream
        if self.imaps and scenario.command == "office":
            return False  # ten minutes more for connections that are opened once and kept
        if not self.cold:
            return True
        # The peer asks for each message on its own the first time: 7 minutes for 10,000 of them.
        return scenario.cold is not None and (slow or self.kind != "peer" or scenario.way != "far")


BUILT_IN: tuple[Target, ...] = (
    Target("native", "native", "the upstream's own POP3 on the Maildir: the practical limit"),
    Target("peer-cold", "peer", "Dovecot's POP3 on imapc, its index wiped before each run", cold=True),
    Target("peer-idx", "peer", "Dovecot's POP3 on imapc, with its index on disk: what popbridge is compared with"),
    Target("popbridge-cold", "popbridge", "popbridge, started without any state before each run", cold=True),
    Target("popbridge", "popbridge", "popbridge, which has seen each mailbox before"),
    Target("popbridge-nocache", "popbridge", "popbridge without its body cache", extra=NO_CACHE, only=BY_MEMORY),
    Target("peer-imaps", "peer", "`peer-idx` with TLS to the upstream", imaps=True),
    Target("popbridge-imaps-cold", "popbridge", "`popbridge-cold` with TLS to the upstream", cold=True, imaps=True, only=BY_COLD),
    Target("popbridge-imaps", "popbridge", "`popbridge` with TLS to the upstream", imaps=True),
    Target(
        "popbridge-imaps-nocache", "popbridge", "`popbridge-nocache` with TLS to the upstream", imaps=True, extra=NO_CACHE, only=BY_MEMORY
    ),
)  # fmt: skip


def targets(more: dict[str, str]) -> list[Target]:
    """The built-in ones, and variants from the command line (name and lines of configuration)."""
    found = list(BUILT_IN)
    for name, lines in more.items():
        found.append(Target(name, "popbridge", "popbridge with lines of configuration from a file", extra=lines))
    return found


class Servers:
    """Starts what is needed when it is needed, and keeps it."""

    def __init__(self, places: Places, kitchen: Kitchen, ports: Ports, binary: Path) -> None:
        self.places = places
        self.kitchen = kitchen
        self.ports = ports
        self.binary = binary
        self.upstream = kitchen.upstream()
        self.upstream.start()
        self.relays: dict[tuple[Way, bool], Relay] = {}
        self.peers: dict[tuple[str, Way], Dovecot] = {}
        self.bridges: dict[tuple[str, Way], Bridge] = {}

    def relay(self, target: Target, way: Way) -> Relay | None:
        """What stands between a server and the upstream on this way."""
        if way == "near":
            return None
        key = (way, target.imaps)
        if key not in self.relays:
            delay = FAR if way == "far" else 0
            name = f"relay-{way}-imaps" if target.imaps else f"relay-{way}"
            self.relays[key] = Relay(name, self.places, self.ports, self.upstream_port(target), delay)
        return self.relays[key]

    def upstream_port(self, target: Target) -> int:
        return self.upstream.ports["imaps" if target.imaps else "imap"]

    def port_to_upstream(self, target: Target, way: Way) -> int:
        relay = self.relay(target, way)
        return relay.port if relay else self.upstream_port(target)

    def home(self, target: Target) -> Path:
        """Where a peer keeps its index: all warm peers share one."""
        return self.places.homes / ("cold" if target.cold else "warm")

    def server(self, target: Target, way: Way) -> Dovecot | Bridge:
        """The server behind a column, running."""
        if target.kind == "native":
            return self.upstream
        if target.kind == "peer":
            return self.peer(target, way)
        return self.bridge(target, way)

    def peer(self, target: Target, way: Way) -> Dovecot:
        key = (target.name, way)
        if key not in self.peers:
            port = self.port_to_upstream(target, way)
            name = target.name if way == "near" else f"{target.name}-{way}"
            self.peers[key] = self.kitchen.peer(name, port, target.imaps, self.home(target))
            self.peers[key].start()
        return self.peers[key]

    def bridge(self, target: Target, way: Way) -> Bridge:
        key = (target.name, way)
        if key not in self.bridges:
            name = target.name if way == "near" else f"{target.name}-{way}"
            port = self.port_to_upstream(target, way)
            bridge = Bridge(name, self.binary, self.places, self.ports, port, target.imaps, target.extra)
            bridge.start()
            self.bridges[key] = bridge
        if self.bridges[key].has_ended():
            print(f"  {key[0]} has ended by itself and is started again; see {self.bridges[key].folder}/log", file=sys.stderr)
            self.bridges[key].start()
        return self.bridges[key]
