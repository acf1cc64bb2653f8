"""What popbridge is to reach: one table. A goal compares a figure with a bound, or its ratio to another target's with a bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PEER, PEER_TLS, NATIVE = "peer-idx", "peer-imaps", "native"
WARM, TLS, COLD, NO_CACHE = "popbridge", "popbridge-imaps", "popbridge-cold", "popbridge-nocache"


@dataclass(frozen=True)
class Goal:
    """`figure` of `target` is at least or at most `bound`; with `against`, its ratio to that target's same figure is."""

    scenario: str
    what: str
    figure: str
    relation: Literal["≥", "≤", "<"]
    bound: float
    target: str = WARM
    against: str = ""
    # The bound is on how many times smaller the figure is than the other target's.
    inverse: bool = False
    # The unit of the figure, for the table; ratios have none.
    unit: str = ""
    # From the figure's own unit to this one.
    scale: float = 1


def fetching(scenario: str, off: float, on: float) -> list[Goal]:
    """The goals of fetching whole messages, with the body cache off and on, and with TLS to the upstream."""
    found = []
    for name, target, bound, peer in (
        (" without body cache, against the peer", NO_CACHE, off, PEER),
        (", against the peer", WARM, on, PEER),
        (", both with imaps", TLS, on, PEER_TLS),
    ):
        found.append(Goal(scenario, f"messages/s{name}", "messages_per_s", "≥", bound, target, peer))
        found.append(Goal(scenario, f"CPU/message{name}", "cpu_per_message", "≤", 0.5, target, peer))
    return found


def tops(scenario: str, bound: float) -> list[Goal]:
    """The goals of fetching headers."""
    return [
        Goal(scenario, "messages/s without body cache, against the peer", "messages_per_s", "≥", bound, NO_CACHE, PEER),
        Goal(scenario, "messages/s, against the peer", "messages_per_s", "≥", bound, against=PEER),
        Goal(scenario, "messages/s, both with imaps", "messages_per_s", "≥", bound, TLS, PEER_TLS),
    ]


def polls(scenario: str, rate: float, cpu: float) -> list[Goal]:
    """The goals of sessions that fetch nothing."""
    found = []
    for name, target, peer in ((", against the peer", WARM, PEER), (", both with imaps", TLS, PEER_TLS)):
        found.append(Goal(scenario, f"sessions/s{name}", "sessions_per_s", "≥", rate, target, peer))
        found.append(Goal(scenario, f"CPU/session{name}", "cpu_per_session", "≤", cpu, target, peer))
    return found


GOALS: list[Goal] = [
    *polls("login", 6, 0.2),
    Goal("login", "sessions/s, against the upstream's own POP3", "sessions_per_s", "≥", 2, against=NATIVE),
    *polls("poll10k", 4, 0.25),
    Goal("uidl100k", "the first list of all", "p50_ms", "<", 1.5, COLD, unit="s", scale=1e-3),
    Goal("uidl100k", "times faster than the peer", "p50_ms", "≥", 4, against=PEER, inverse=True),
    *fetching("retr-seq", 1.3, 1.5),
    *fetching("retr-pipe", 3, 4),
    *fetching("retr-8x", 1.8, 3),
    *tops("top-seq", 3),
    *tops("top-pipe", 8),
    Goal("big25MB", "MB/s, against the peer", "mb_per_s", "≥", 1.5, against=PEER),
    Goal("big25MB", "MB/s, both with imaps", "mb_per_s", "≥", 1.5, TLS, PEER_TLS),
    Goal("big25MB", "until the first byte", "first_byte_ms", "≤", 5, unit="ms"),
    Goal("big25MB", "memory that the session adds", "memory_added_kib", "≤", 512, unit="KiB"),
    Goal("idle1000", "memory of a session", "pss_per_session", "≤", 40, unit="KiB"),
    Goal("idle1000-tls", "memory of a session with TLS", "pss_per_session", "≤", 80, unit="KiB"),
    Goal("wan-login", "round trips one after the other", "turns", "≤", 1),
    Goal("wan-poll10k", "round trips one after the other", "turns", "≤", 1),
    Goal("wan-uidl10k", "round trips for the first list of all", "turns", "≤", 7, COLD),
    Goal("wan-retr200", "round trips without body cache", "turns", "≤", 12, NO_CACHE),
    Goal("wan-retr200", "round trips one after the other", "turns", "≤", 12),
    Goal("wan-retr200", "times faster than the peer", "wall_s", "≥", 15, against=PEER, inverse=True),
    Goal("wan-top200p", "round trips without body cache", "turns", "≤", 10, NO_CACHE),
    Goal("wan-top200p", "round trips one after the other", "turns", "≤", 10),
    Goal("shared200", "body octets from the upstream, against one copy", "copies", "≤", 1.1),
    Goal("office", "errors", "errors", "≤", 0),
    Goal("office", "99 of 100 answers to STAT within", "stat_p99_ms", "<", 250, unit="ms"),
    Goal("office", "memory at the end, against the middle", "rss_growth", "≤", 1.05),
]
