"""What is measured: one table. Goals are in goals.py, and who is measured is in targets.py."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, Union

from .places import Places


@dataclass(frozen=True)
class Metric:
    """A line of the table."""

    label: str
    key: str  # in the figures of a run
    digits: int = 0
    higher_is_better: bool = False
    scale: float = 1


# Options of the load generator; an empty text is a switch.
Options = dict[str, Union[str, int]]

# How the server reaches the upstream: directly, over 40 ms, or through a relay that counts.
Way = Literal["near", "far", "counted"]


@dataclass(frozen=True)
class Scenario:
    """What clients do, to which mailboxes, and what is looked at."""

    name: str
    what: str
    user: str
    messages: int
    metrics: tuple[Metric, ...]
    command: Literal["run", "idle", "office"] = "run"
    options: Options = field(default_factory=dict)
    accounts: int = 1
    # Log-in names for a server that keeps clients of one mailbox apart.
    clients: str = ""
    # The same for a server that sees the mailbox for the first time; None: not measured so.
    cold: Options | None = None
    # For trying the bench itself.
    quick: Options = field(default_factory=dict)
    manifest: str = ""
    way: Way = "near"
    tls: bool = False
    # What is done to popbridge before: nothing; a restart and a log-in to each mailbox, so that no message is in its memory; a restart, so
    # that memory is measured from the beginning; a start from nothing.
    before: Literal["keep", "fresh", "restart", "wipe"] = "keep"
    # Long and steady: in the last repetition only.
    once: bool = False
    # Kinds of targets for which it makes sense.
    kinds: tuple[str, ...] = ("native", "peer", "popbridge")

    def users(self) -> list[str]:
        """The mailboxes."""
        return [self.user.replace("{n}", str(number)) for number in range(self.accounts)]

    def arguments(self, kind: str, cold: bool, places: Places) -> list[str]:
        """Of the load generator, without the server's address."""
        user = self.clients if kind == "popbridge" and self.clients else self.user
        words = [self.command, "--user", user, "--accounts", str(self.accounts), "--messages", str(self.messages)]
        if self.manifest:
            words += ["--manifest", str(places.manifest(self.manifest))]
        for option, value in (self.options | (self.cold or {} if cold else {})).items():
            words += [f"--{option}", str(value)] if value != "" else [f"--{option}"]
        return words + (["--tls"] if self.tls else [])

    def shortened(self) -> Scenario:
        """With few sessions, to see that it works."""
        quick = dict(self.quick)
        accounts = int(quick.pop("accounts", self.accounts))
        cold = None if self.cold is None else self.cold | {key: quick[key] for key in quick.keys() & self.cold.keys()}
        return replace(self, options=self.options | quick, accounts=accounts, cold=cold)

    def lasting(self, seconds: int) -> Scenario:
        """The same for so long, where it has a duration."""
        if "duration" not in self.options:
            return self
        return replace(self, options=self.options | {"duration": seconds})


def more(label: str, key: str, digits: int = 0, scale: float = 1) -> Metric:
    """A metric of which more is better."""
    return Metric(label, key, digits, True, scale)


P50 = Metric("p50 ms", "p50_ms", 1)
CPU_SESSION = Metric("CPU ms/session", "cpu_per_session", 2, scale=1e3)
CPU_MESSAGE = Metric("CPU µs/message", "cpu_per_message", 0, scale=1e6)
LOG_IN = (P50, Metric("p99 ms", "p99_ms", 1), more("sessions/s", "sessions_per_s", 1), CPU_SESSION)
LIST = (Metric("ms", "p50_ms"), CPU_SESSION)
FETCH = (more("messages/s", "messages_per_s"), more("MB/s", "mb_per_s", 1), CPU_MESSAGE)
TOPS = (more("messages/s", "messages_per_s"), CPU_MESSAGE)
BIG = (
    more("MB/s", "mb_per_s", 1),
    Metric("first byte ms", "first_byte_ms", 1),
    Metric("CPU s", "cpu_s", 2),
    Metric("memory added, KiB", "memory_added_kib"),
)
IDLE = (
    Metric("PSS KiB/session", "pss_per_session", 1),
    Metric("RSS KiB/session", "rss_per_session", 1),
    more("log-ins/s while opening", "sessions_per_s", 1),
)
TURNS = Metric("upstream round trips", "turns", 2)
FAR = (Metric("session s", "wall_s", 2), TURNS)
SHARED = (
    Metric("upstream octets / one copy", "copies", 3),
    more("MB/s", "mb_per_s", 1),
    CPU_MESSAGE,
)
OFFICE = (
    Metric("errors", "errors"),
    Metric("STAT p50 ms", "stat_p50_ms", 1),
    Metric("STAT p99 ms", "stat_p99_ms", 1),
    Metric("STAT p99 ms after the first minute", "settled_stat_p99_ms", 1),
    Metric("session p50 ms", "p50_ms", 1),
    Metric("session p99 ms", "p99_ms", 1),
    CPU_SESSION,
    Metric("RSS MiB at the start", "rss_start_mib", 1),
    Metric("RSS MiB in the middle", "rss_middle_mib", 1),
    Metric("RSS MiB at the end", "rss_end_mib", 1),
)


def using(*given: Options, **more: str | int) -> Options:
    """Options put together."""
    together: Options = {}
    for some in given:
        together |= some
    return together | more


PIPELINED = using(pipeline=32)
WHOLE = using(scenario="retr", verify="sha256")
LENGTH = using(scenario="retr", verify="length")

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "login", "log in, STAT, QUIT; 8 at a time, 96 mailboxes of 1,000 messages", "u{n}", 1000, LOG_IN,
        options=using(scenario="login", concurrency=8, sessions=400), accounts=96, cold=using(sessions=96),
        quick=using(sessions=32, accounts=32),
    ),
    Scenario(
        "login1", "log in, STAT, QUIT; one at a time", "u{n}", 1000, (P50, CPU_SESSION),
        options=using(scenario="login", sessions=96), accounts=96, quick=using(sessions=8, accounts=8),
    ),
    Scenario(
        "poll10k", "log in, STAT, UIDL, QUIT; 4 at a time, mailboxes of 10,000 messages", "mid{n}", 10_000, LOG_IN,
        options=using(scenario="poll", concurrency=4, sessions=24), accounts=4, cold=using(sessions=4),
        quick=using(sessions=4),
    ),
    Scenario(
        "uidl100k", "from the connection to the end of UIDL and LIST, 100,000 messages", "large", 100_000, LIST,
        options=using(scenario="uidl"), cold=using(),
    ),
    Scenario(
        "retr-seq", "RETR of 1,000 messages (15.5 MB), one by one; 3 sessions", "u0", 1000, FETCH,
        options=using(WHOLE, sessions=3), manifest="letters", quick=using(sessions=1), before="fresh",
    ),
    Scenario(
        "retr-pipe", "RETR of 1,000 messages, 32 commands under way; 3 sessions", "u0", 1000, FETCH,
        options=using(WHOLE, PIPELINED, sessions=3), manifest="letters", quick=using(sessions=1), before="fresh",
    ),
    Scenario(
        "retr-8x", "RETR of 1,000 messages, 32 commands under way; 16 sessions, 8 at a time on 8 mailboxes", "u{n}", 1000, FETCH,
        options=using(WHOLE, PIPELINED, concurrency=8, sessions=16), accounts=8, manifest="letters",
        quick=using(sessions=8, limit=100), before="fresh",
    ),
    Scenario(
        "top-seq", "TOP n 0 of 1,000 messages, one by one; 3 sessions", "u0", 1000, TOPS,
        options=using(scenario="top", sessions=3), quick=using(sessions=1), before="fresh",
    ),
    Scenario(
        "top-pipe", "TOP n 0 of 1,000 messages, 32 commands under way; 3 sessions", "u0", 1000, TOPS,
        options=using(PIPELINED, scenario="top", sessions=3), quick=using(sessions=1), before="fresh",
    ),
    Scenario(
        "big25MB", "RETR of 20 messages of 26 MB", "big", 20, BIG,
        options=LENGTH, manifest="big", before="restart", quick=using(limit=3),
    ),
    Scenario(
        "shared200", "8 clients of one mailbox fetch the same 200 messages at the same time; octets of bodies, with imaps all", "r200", 200, SHARED,
        options=using(WHOLE, concurrency=8, sessions=8, together=""), clients="r200/desk{m}", manifest="r200",
        way="counted", before="wipe", kinds=("peer", "popbridge"),
    ),
    Scenario(
        "wan-login", "40 ms to the upstream and back: log in, STAT, QUIT; 4 at a time", "u{n}", 1000,
        (Metric("session s", "p50_s", 2), TURNS),
        options=using(scenario="login", concurrency=4, sessions=4), accounts=4, way="far",
    ),
    Scenario(
        "wan-poll10k", "40 ms: log in, STAT, UIDL, QUIT; 10,000 messages", "mid0", 10_000, FAR,
        options=using(scenario="poll"), way="far",
    ),
    Scenario(
        "wan-uidl10k", "40 ms: to the end of UIDL and LIST; 10,000 messages", "mid0", 10_000, FAR,
        options=using(scenario="uidl"), cold=using(), way="far",
    ),
    Scenario(
        "wan-retr200", "40 ms: RETR of 200 messages, one by one", "r200", 200, FAR,
        options=WHOLE, manifest="r200", way="far", before="fresh",
    ),
    Scenario(
        "wan-retr200p", "40 ms: RETR of 200 messages, 32 commands under way", "r200", 200, FAR,
        options=using(WHOLE, PIPELINED), manifest="r200", way="far", before="fresh",
    ),
    Scenario(
        "wan-top200p", "40 ms: TOP n 0 of 200 messages, 32 commands under way", "r200", 200, FAR,
        options=using(PIPELINED, scenario="top"), way="far", before="fresh",
    ),
    Scenario(
        "wan-big4", "40 ms: RETR of 4 messages of 26 MB", "big", 20, (*FAR, Metric("first byte ms", "first_byte_ms")),
        options=using(LENGTH, limit=4), manifest="big", way="far",
    ),
    Scenario(
        "idle1000", "1,000 sessions that have logged in and said STAT, and stay", "s{n}", 50, IDLE, command="idle",
        options=using(sessions=1000), accounts=1000, before="restart", once=True, quick=using(sessions=40, accounts=40),
    ),
    Scenario(
        "idle1000-tls", "1,000 such sessions with TLS", "s{n}", 50, IDLE, command="idle",
        options=using(sessions=1000), accounts=1000, before="restart", once=True, tls=True, quick=using(sessions=40, accounts=40),
    ),
    Scenario(
        "office", "10,000 clients on 1,000 mailboxes; each logs in, says STAT and QUIT once a minute", "s{n}", 50, OFFICE,
        command="office", options=using(clients=10_000, interval=60, duration=600), accounts=1000,
        clients="s{n}/c{m}", before="wipe", once=True, kinds=("popbridge",),
        quick=using(clients=300, accounts=30, interval=5, duration=15),
    ),
)  # fmt: skip
