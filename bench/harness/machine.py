"""What was measured where: machine, versions, date."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .places import ROOT


def output_of(*command: str) -> str:
    """The first line that a program prints, or nothing where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip().split("\n")[0]


def field_of(file: str, name: str) -> str:
    """The value of a line "name : value"."""
    for line in Path(file).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def commit() -> str:
    """What is checked out, and whether the sources differ from it."""
    found = output_of("git", "rev-parse", "--short=12", "HEAD") or "unknown"
    changed = output_of("git", "status", "--porcelain", "--", "src", "Cargo.toml", "Cargo.lock")
    return found + (" with changes" if changed else "")


def about(dovecot: str, command: str) -> dict[str, Any]:
    """The lines above the tables."""
    memory_kib = int(field_of("/proc/meminfo", "MemTotal").split()[0])
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "command": command,
        "CPU": field_of("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": os.cpu_count(),
        "memory": f"{memory_kib / 1024 / 1024:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "popbridge": commit(),
        "Dovecot": dovecot,
        "rustc": output_of("rustc", "--version").removeprefix("rustc "),
    }
