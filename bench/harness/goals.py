"""What popbridge is to reach: one table. A goal compares a figure with a bound, or its ratio to another target's with a bound."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

NATIVE = "native"


@dataclass(frozen=True)
class Goal:
    """`figure` of `target` is at least or at most `bound`; with `against`, its ratio to that target's same figure is."""

    scenario: str
    what: str
    figure: str
    relation: Literal["≥", "≤", "<"]
    bound: float
    target: str
    against: str = ""
    # The bound is on how many times smaller the figure is than the other target's.
    inverse: bool = False
    # The unit of the figure, for the table; ratios have none.
    unit: str = ""
    # From the figure's own unit to this one.
    scale: float = 1


@dataclass(frozen=True)
class Side:
    """Targets that reach the upstream in the same way."""

    peer: str
    cold: str
    warm: str
    no_cache: str


PLAIN = Side("peer-idx", "popbridge-cold", "popbridge", "popbridge-nocache")
TLS = Side("peer-imaps", "popbridge-imaps-cold", "popbridge-imaps", "popbridge-imaps-nocache")


def polls(side: Side, scenario: str, rate: float, cpu: float) -> list[Goal]:
    """The goals of sessions that fetch nothing."""
    return [
        Goal(scenario, "sessions/s, against the peer", "sessions_per_s", "≥", rate, side.warm, side.peer),
        Goal(scenario, "CPU/session, against the peer", "cpu_per_session", "≤", cpu, side.warm, side.peer),
    ]


def fetching(side: Side, scenario: str, off: float, on: float) -> list[Goal]:
    """The goals of fetching whole messages, with the body cache off and on."""
    found = []
    for name, target, bound in ((" without body cache", side.no_cache, off), ("", side.warm, on)):
        found.append(Goal(scenario, f"messages/s{name}, against the peer", "messages_per_s", "≥", bound, target, side.peer))
        found.append(Goal(scenario, f"CPU/message{name}, against the peer", "cpu_per_message", "≤", 0.5, target, side.peer))
    return found


def tops(side: Side, scenario: str, bound: float) -> list[Goal]:
    """The goals of fetching headers."""
    return [
        Goal(scenario, "messages/s without body cache, against the peer", "messages_per_s", "≥", bound, side.no_cache, side.peer),
        Goal(scenario, "messages/s, against the peer", "messages_per_s", "≥", bound, side.warm, side.peer),
    ]


def turns(side: Side, scenario: str, bound: float, off: bool = False) -> list[Goal]:
    """The goals of what is waited for one after the other."""
    found = [Goal(scenario, "round trips one after the other", "turns", "≤", bound, side.warm)]
    if off:
        found.append(Goal(scenario, "round trips without body cache", "turns", "≤", bound, side.no_cache))
    return found


def reached_by(side: Side) -> list[Goal]:
    """Everything that does not depend on how the upstream is reached."""
    peer, cold, warm, no_cache = side.peer, side.cold, side.warm, side.no_cache
    return [
        *polls(side, "login", 6, 0.2),
        Goal("login", "sessions/s, against the upstream's own POP3", "sessions_per_s", "≥", 2, warm, NATIVE),
        *polls(side, "poll10k", 4, 0.25),
        Goal("uidl100k", "the first list of all", "p50_ms", "<", 1.5, cold, unit="s", scale=1e-3),
        Goal("uidl100k", "times faster than the peer", "p50_ms", "≥", 4, warm, peer, inverse=True),
        *fetching(side, "retr-seq", 1.3, 1.5),
        *fetching(side, "retr-pipe", 3, 4),
        *fetching(side, "retr-8x", 1.8, 3),
        *tops(side, "top-seq", 3),
        *tops(side, "top-pipe", 8),
        Goal("big25MB", "MB/s, against the peer", "mb_per_s", "≥", 1.5, warm, peer),
        Goal("big25MB", "until the first byte", "first_byte_ms", "≤", 5, warm, unit="ms"),
        Goal("big25MB", "memory that the session adds", "memory_added_kib", "≤", 512, warm, unit="KiB"),
        Goal("idle1000", "memory of a session", "pss_per_session", "≤", 40, warm, unit="KiB"),
        Goal("idle1000-tls", "memory of a session with TLS", "pss_per_session", "≤", 80, warm, unit="KiB"),
        *turns(side, "wan-login", 1),
        *turns(side, "wan-poll10k", 1),
        Goal("wan-uidl10k", "round trips for the first list of all", "turns", "≤", 7, cold),
        *turns(side, "wan-retr200", 12, off=True),
        Goal("wan-retr200", "times faster than the peer, without body cache", "wall_s", "≥", 15, no_cache, peer, inverse=True),
        Goal("wan-retr200", "times faster than the peer", "wall_s", "≥", 15, warm, peer, inverse=True),
        *turns(side, "wan-top200p", 10, off=True),
        # TLS hides which octets are bodies: with imaps all are counted.
        Goal("shared200", "octets from the upstream, against one copy", "copies", "≤", 1.1, warm),
    ]


def in_order(plain: list[Goal], tls: list[Goal]) -> list[Goal]:
    """Scenario by scenario, each in both ways."""
    named = [replace(goal, what=f"{goal.what}, with imaps") for goal in tls]
    scenarios = dict.fromkeys(goal.scenario for goal in plain)
    return [goal for scenario in scenarios for goal in (*plain, *named) if goal.scenario == scenario]


GOALS: list[Goal] = [
    *in_order(reached_by(PLAIN), reached_by(TLS)),
    Goal("office", "errors", "errors", "≤", 0, PLAIN.warm),
    Goal("office", "99 of 100 answers to STAT within", "stat_p99_ms", "<", 250, PLAIN.warm, unit="ms"),
    Goal("office", "memory at the end, against the middle", "rss_growth", "≤", 1.05, PLAIN.warm),
]
