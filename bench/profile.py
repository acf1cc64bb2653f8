#!/usr/bin/env python3
"""The driver of `make profile`: where popbridge's CPU time goes, and how often it allocates memory. See README.md."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import run
from harness import dovecot, mail
from harness.bridge import Bridge
from harness.dovecot import Dovecot
from harness.measure import Figures, Measure
from harness.places import ROOT, Account, BenchError, Places, program
from harness.processes import Ports, stop_all
from harness.report import row
from harness.scenarios import SCENARIOS, Scenario
from harness.targets import Servers, Target, targets

# Scenario, target, and how many times as many sessions as in the bench: enough of them to be sampled.
SAMPLED = (
    ("login", "popbridge", 20),
    ("poll10k", "popbridge", 40),
    ("uidl100k", "popbridge-cold", 1),
    ("retr-pipe", "popbridge-nocache", 10),
    ("retr-8x", "popbridge-imaps", 10),
    ("top-pipe", "popbridge-nocache", 20),
    ("big25MB", "popbridge", 6),
    ("big25MB", "popbridge-imaps", 3),
)

# Scenario, target, two such numbers, and what of the figures is counted. Where messages are kept the first session is in both runs.
COUNTED = (
    ("login", "popbridge", (1, 3), "sessions"),
    ("poll10k", "popbridge", (2, 12), "sessions"),
    ("retr-pipe", "popbridge", (1, 3), "messages"),
    ("retr-pipe", "popbridge-nocache", (1, 3), "messages"),
    ("top-pipe", "popbridge-nocache", (1, 3), "messages"),
    ("retr-8x", "popbridge-imaps", (1, 3), "messages"),
    ("big25MB", "popbridge", (1, 3), "messages"),
    ("big25MB", "popbridge-imaps", (1, 3), "messages"),
)

# Kinds of code in the order in which they are looked for: name, pattern of the function, pattern of the file it is in.
KINDS = (
    ("kernel's copying", r"copy|clear_page|memset|memcpy", r"kernel"),
    ("kernel, the rest", r"", r"kernel"),
    ("malloc, free", r"malloc|free|calloc|realloc|unlink_chunk|arena|consolidate", r"libc"),
    ("memmove and the like", r"", r"libc"),
    ("TLS", r"aws_lc|rustls", r""),
    ("moka", r"moka|crossbeam|hash_one", r""),
    ("memchr", r"memchr", r""),
    ("grammar", r"nom|imap_proto|TagNoCase", r""),
    ("SQLite, sqlx", r"sqlite3|sqlx|pager|btree|vdbe", r""),
    ("popbridge", r"popbridge::", r""),
    ("tokio, std, others", r"", r""),
)

HEAPTRACK = Path("/usr/lib/heaptrack/libheaptrack_preload.so")
SAMPLE = re.compile(r"^\s*[0-9a-f]+ (?P<function>.*) \((?P<file>.*)\)$")


class Sampled(Measure):
    """Measures, and samples the server while its clients are served."""

    def sample(self, command: list[Any], server: Dovecot | Bridge, scenario: Scenario) -> Figures:
        with perf(server.pids()[0], self.places.top / "perf.data"):
            return super().sample(command, server, scenario)


@contextmanager
def perf(pid: int, file: Path) -> Iterator[None]:
    """Samples a process. cpu-clock is there in virtual machines, too."""
    command = [program("perf", "linux-perf"), "record", "-q", "-F", "1999", "-e", "cpu-clock", "-p", str(pid), "-o", str(file)]
    sampler = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    time.sleep(0.5)  # until it is attached to every thread; it does not say when
    try:
        yield
    finally:
        sampler.send_signal(signal.SIGINT)
        sampler.wait()


def shares(file: Path) -> dict[str, float]:
    """In percent of the samples, by kind."""
    command = [program("perf", "linux-perf"), "script", "-i", str(file), "-F", "ip,sym,dso"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = Counter(kind_of(match["function"], match["file"]) for match in map(SAMPLE.match, told.splitlines()) if match)
    if not found:
        raise BenchError("perf has no samples: may this user sample (kernel.perf_event_paranoid)?")
    return {kind: 100 * count / found.total() for kind, count in found.items()}


def kind_of(function: str, file: str) -> str:
    return next(kind for kind, functions, files in KINDS if re.search(files, file) and re.search(functions, function, re.I))


def longer(scenario: Scenario, times: int) -> Scenario:
    sessions = int(scenario.options.get("sessions", 1))
    return replace(scenario, options=scenario.options | {"sessions": times * sessions})


def counting(binary: Path, places: Places) -> Path:
    """A program that is popbridge and writes down what it allocates."""
    if not HEAPTRACK.exists():
        raise BenchError("heaptrack is missing: apt-get install --no-install-recommends heaptrack")
    script = places.top / "counted.sh"
    # A file for each start: heaptrack does not empty one that is there.
    file = places.top / "allocations.$$"
    script.write_text(f'#!/bin/sh\nLD_PRELOAD={HEAPTRACK} DUMP_HEAPTRACK_OUTPUT={file} exec {binary} "$@"\n')
    script.chmod(0o755)
    return script


def allocations(measure: Measure, target: Target, scenario: Scenario) -> tuple[int, Figures]:
    """Of the server's last start until its end."""
    for old in measure.places.top.glob("allocations.*"):
        old.unlink()
    figures = measure.run(target, scenario)
    bridge = measure.servers.bridges.pop((target.name, scenario.way))
    bridge.stop()
    # The next one begins as this one has.
    shutil.rmtree(bridge.folder / "state")
    measure.forget(target, scenario.way)
    last = max(measure.places.top.glob("allocations.*"), key=lambda file: file.stat().st_mtime_ns)
    with last.open("rb") as lines:
        return sum(line.startswith(b"+") for line in lines), figures


def profile(places: Places, binary: Path, account: Account) -> None:
    scenarios = {scenario.name: scenario for scenario in SCENARIOS}
    columns = {target.name: target for target in targets({})}

    def measurer(kind: type[Measure], program: Path) -> Measure:
        shutil.rmtree(places.run, ignore_errors=True)
        places.run.mkdir()
        kitchen = dovecot.Kitchen(places, account, Ports())
        return kind(places, Servers(places, kitchen, kitchen.ports, program))

    names = [kind for kind, *_ in KINDS]
    measure = measurer(Sampled, binary)
    print(row(["", *names]), row(["---", *["---:"] * len(names)]), sep="\n", flush=True)
    for scenario, target, times in SAMPLED:
        measure.run(columns[target], longer(scenarios[scenario], times))
        found = shares(places.top / "perf.data")
        print(row([f"{scenario}, {target}", *[f"{found.get(name, 0):.0f}" for name in names]]), flush=True)
    stop_all()
    measure = measurer(Measure, counting(binary, places))
    print(row(["", "for each", "allocations"]), row(["---", "---", "---:"]), sep="\n", flush=True)
    for scenario, target, numbers, unit in COUNTED:
        few, many = [allocations(measure, columns[target], longer(scenarios[scenario], number)) for number in numbers]
        each = (many[0] - few[0]) / (many[1][unit] - few[1][unit])
        print(row([f"{scenario}, {target}", unit[:-1], f"{each:,.0f}"]), flush=True)


def main() -> None:
    account = Account.for_servers()
    places = Places(Path(os.environ.get("BENCH_DIR") or ROOT / "target" / "bench").resolve())
    places.top.mkdir(parents=True, exist_ok=True)
    account.must_reach(places.top)
    places.lock()
    program("perf", "linux-perf")
    binary = run.build(places)
    mail.prepare(places, account)
    dovecot.make_certificate(places, account)
    account.folder(places.homes)
    run.allow_open_files()
    profile(places, binary, account)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main()
    except (BenchError, subprocess.CalledProcessError) as error:
        sys.exit(f"profile: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        stop_all()
