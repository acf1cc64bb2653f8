"""The relay of the load generator in front of the upstream: the long way, or only counting."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from .places import Places
from .processes import Child, Ports, wait_for_port

# One way, in milliseconds: the round trip of the wan scenarios is 40 ms.
FAR = 20


class Relay:
    """A relay that is running."""

    def __init__(self, name: str, places: Places, ports: Ports, upstream: int, delay_ms: int) -> None:
        self.port = ports.free()
        places.run.mkdir(parents=True, exist_ok=True)
        log = places.run / f"{name}.log"
        command: list[str | Path] = [places.load, "relay", "--listen", f"127.0.0.1:{self.port}", "--to", f"127.0.0.1:{upstream}"]
        command += ["--delay-ms", str(delay_ms)]
        with log.open("w") as output:
            self.child = Child(name, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, text=True, bufsize=1)
        wait_for_port(self.child, self.port, log)

    def totals(self) -> dict[str, float]:
        """What has gone through since the start: connections, turns, to_server, to_client, literals; cpu_s of its own."""
        stdin, stdout = self.child.process.stdin, self.child.process.stdout
        assert stdin and stdout
        stdin.write("\n")
        stdin.flush()
        totals: dict[str, float] = json.loads(stdout.readline())
        return totals
