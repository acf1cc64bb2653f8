"""What /proc says of a server and all its workers: CPU time and memory. Linux only."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def tree(roots: Iterable[int]) -> dict[int, list[str]]:
    """The processes `roots` and their descendants, each with the fields of its stat file from the state on."""
    children: dict[int, list[int]] = {}
    stats: dict[int, list[str]] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            fields = Path("/proc", entry, "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # it has ended
        stats[int(entry)] = fields
        children.setdefault(int(fields[1]), []).append(int(entry))
    found: dict[int, list[str]] = {}
    todo = list(roots)
    while todo:
        pid = todo.pop()
        if pid in stats and pid not in found:
            found[pid] = stats[pid]
            todo += children.get(pid, [])
    return found


def cpu(roots: Iterable[int]) -> float:
    """CPU seconds of the processes and of those descendants that have ended."""
    return sum(sum(map(int, fields[11:15])) for fields in tree(roots).values()) / TICK


def machine_busy() -> float:
    """CPU seconds that this machine has spent on anything."""
    values = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    return sum(int(value) for place, value in enumerate(values) if place not in (3, 4)) / TICK


@dataclass(frozen=True)
class Memory:
    """In KiB. PSS counts shared pages by their share, RSS in full."""

    pss: int
    rss: int

    def since(self, before: Memory) -> Memory:
        return Memory(self.pss - before.pss, self.rss - before.rss)


def family(roots: Iterable[int]) -> list[int]:
    """The same processes as in `tree`, asked for in a way that is quick, and may miss one that is just being born."""
    found: list[int] = []
    todo = list(roots)
    while todo:
        pid = todo.pop()
        found.append(pid)
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                todo += map(int, children.read_text().split())
            except OSError:
                continue  # it has ended
    return found


def memory(roots: Iterable[int]) -> Memory:
    """What the processes and their descendants have in memory."""
    pss = rss = 0
    for pid in family(roots):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue  # it has ended
        for line in lines:
            if line.startswith("Pss:"):
                pss += int(line.split()[1])
            elif line.startswith("Rss:"):
                rss += int(line.split()[1])
    return Memory(pss, rss)


class Sampler(threading.Thread):
    """Reads the memory of some processes again and again, in the background."""

    def __init__(self, roots: Callable[[], Iterable[int]], pause: float) -> None:
        super().__init__(daemon=True)
        self.roots = roots
        self.pause = pause
        self.begin = time.monotonic()
        self.samples: list[tuple[float, int]] = []  # seconds since the beginning, RSS in KiB
        self.ended = threading.Event()
        self.sample()
        self.start()

    def sample(self) -> None:
        self.samples.append((time.monotonic() - self.begin, memory(self.roots()).rss))

    def run(self) -> None:
        while not self.ended.wait(self.pause):
            self.sample()

    def stop(self) -> None:
        self.ended.set()
        self.join()

    @property
    def first(self) -> int:
        return self.samples[0][1]

    @property
    def last(self) -> int:
        return self.samples[-1][1]

    @property
    def peak(self) -> int:
        return max(rss for _, rss in self.samples)

    @property
    def middle(self) -> int:
        half = self.samples[-1][0] / 2
        return min(self.samples, key=lambda sample: abs(sample[0] - half))[1]
