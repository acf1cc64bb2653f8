"""Servers and clients as child processes that never outlive the bench, and free ports for them."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from .places import BenchError

# How long a server may take to start or to stop.
PATIENCE = 20.0

_children: list[Child] = []


class Child:
    """A process with a group of its own, and a watchdog that kills the group should the bench itself be killed."""

    def __init__(self, name: str, command: Sequence[str | Path], **options: Any) -> None:
        self.name = name
        self.process = subprocess.Popen([str(word) for word in command], start_new_session=True, **options)
        self.pid = self.process.pid
        self.watchdog = subprocess.Popen(
            ["sh", "-c", 'read _; kill -s KILL -- "-$1"', "watchdog", str(self.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        _children.append(self)

    def ended(self) -> bool:
        return self.process.poll() is not None

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for what is left of the group."""
        if not self.ended():
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE)
        self.kill_group()
        self.process.wait()
        self.forget()

    def kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # nobody is left
            os.killpg(self.pid, signal.SIGKILL)

    def forget(self) -> None:
        """After its end: the number may soon be somebody else's."""
        self.watchdog.kill()
        self.watchdog.communicate()
        if self in _children:
            _children.remove(self)


def stop_all() -> None:
    """Ends everything that is still there, the last one first."""
    for child in reversed(_children[:]):
        child.stop()


class Ports:
    """Free ports below those that the kernel gives to outgoing connections, of which a bench makes many."""

    def __init__(self) -> None:
        limits = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
        first_outgoing = int(limits[0])
        self.candidates = list(range(10_000, first_outgoing)) or list(range(int(limits[1]) + 1, 65_536))
        random.shuffle(self.candidates)

    def free(self) -> int:
        while self.candidates:
            port = self.candidates.pop()
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            return port
        raise BenchError("there is no free port")


def wait_for_port(child: Child, port: int, log: Path) -> None:
    """Waits until a server listens."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and not child.ended():
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    tail = log.read_text(errors="replace").splitlines()[-10:] if log.exists() else []
    what = "has ended" if child.ended() else "does not listen"
    raise BenchError("\n".join([f"{child.name} {what}; the end of {log}:", *tail]))
