"""One measurement: a target made ready, the clients let loose, what it cost read from /proc."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

from . import procfs
from .bridge import Bridge
from .dovecot import Dovecot, wipe
from .places import BenchError, Places
from .processes import Child
from .scenarios import Scenario, Way
from .targets import BUILT_IN, Servers, Target

# The longest run is the peer's first list over 40 ms.
PATIENCE = 1500.0

# Servers finish what they do behind a client's back: logs, indexes, connections that are closed.
SETTLE = 0.3

# The peer whose index the others share, and the upstream, which is to have seen every mailbox before anybody is measured.
PEER = next(target for target in BUILT_IN if target.name == "peer-idx")
NATIVE = next(target for target in BUILT_IN if target.kind == "native")

Figures = dict[str, Any]


class Measure:
    """Measures scenarios."""

    def __init__(self, places: Places, servers: Servers) -> None:
        self.places = places
        self.servers = servers
        self.seen: set[tuple[str, Way, str]] = set()

    def run(self, target: Target, scenario: Scenario) -> Figures:
        """Makes ready, measures, and gives the figures."""
        server = self.make_ready(target, scenario)
        port = server.ports["pop3s" if scenario.tls else "pop3"]
        arguments = scenario.arguments(target.kind, target.cold, self.places)
        command = [self.places.load, *arguments, "--address", f"127.0.0.1:{port}"]
        relay = self.servers.relay(target, scenario.way)
        pids, upstream = server.pids(), self.servers.upstream.pids()

        time.sleep(SETTLE)
        begin = time.monotonic()
        before = relay.totals() if relay else {}
        cpu, cpu_upstream, busy = procfs.cpu(pids), procfs.cpu(upstream), procfs.machine_busy()
        figures = self.hold(command, server) if scenario.command == "idle" else self.sample(command, server, scenario)
        time.sleep(SETTLE)

        sessions, messages = max(1, figures["sessions"]), max(1, figures.get("messages", 0))
        figures["cpu_s"] = procfs.cpu(pids) - cpu
        figures["upstream_cpu_s"] = procfs.cpu(upstream) - cpu_upstream
        figures["cpu_per_session"] = figures["cpu_s"] / sessions
        figures["cpu_per_message"] = figures["cpu_s"] / messages
        figures["p50_s"] = figures.get("p50_ms", 0) / 1e3
        known = figures["upstream_cpu_s"] + figures["client_cpu_s"]
        if target.kind != "native":
            known += figures["cpu_s"]
        if relay:
            totals = {key: round(value - before[key], 3) for key, value in relay.totals().items()}
            figures["turns"] = totals["turns"] / sessions
            # Where TLS hides which octets are bodies, all that the upstream sent counts.
            octets = totals["to_client" if target.imaps else "literals"]
            figures["copies"] = octets / self.one_copy(scenario)
            figures["relay"] = totals
            known += totals["cpu_s"]
        # What this machine did meanwhile that was none of the above, this program included: much of it is a disturbed run.
        figures["other_cpu_s"] = max(0.0, procfs.machine_busy() - busy - known)
        figures["measured_s"] = time.monotonic() - begin
        if scenario.command == "idle":
            self.send_workers_home(server)
        return figures

    def send_workers_home(self, server: Dovecot | Bridge) -> None:
        """A thousand of Dovecot's workers now wait for the next client and all wake up when one comes: the next run would pay."""
        self.servers.upstream.start()
        if isinstance(server, Dovecot) and server is not self.servers.upstream:
            server.start()

    def make_ready(self, target: Target, scenario: Scenario) -> Dovecot | Bridge:
        """Brings the server into the state that the scenario wants to find."""
        server = self.servers.server(target, scenario.way)
        self.warm(NATIVE, "near", scenario)
        if not isinstance(server, Bridge):
            if target.cold:
                wipe(self.servers.home(target), scenario.users())
            elif target.kind == "peer":
                self.warm(PEER, "near", scenario)
            if scenario.command == "idle":
                server.start()  # without the workers that wait for their next client and are in memory already
            return server
        if target.cold or scenario.before == "wipe":
            server.forget_everything()
            self.forget(target, scenario.way)
            return server
        self.warm(target, scenario.way, scenario)
        if scenario.before in ("fresh", "restart"):
            server.start()
            self.forget(target, scenario.way)
        if scenario.before == "fresh":
            self.warm(target, scenario.way, scenario)
        if scenario.before == "restart":
            # What is made at the first use of all is not what a session costs.
            self.log_in(server, scenario.users()[:1], scenario.messages, scenario.tls)
            if scenario.name == "big25MB":
                self.fetch_one_letter(server)
        return server

    def fetch_one_letter(self, server: Bridge) -> None:
        """The parts of the program that give messages out are in memory then; a letter is too short to leave much else there."""
        words = ["run", "--scenario", "retr", "--address", f"127.0.0.1:{server.ports['pop3']}", "--user", "u0", "--limit", "1"]
        words += ["--messages", "1000", "--sessions", "1", "--concurrency", "1"]
        self.clients([self.places.load, *words])

    def warm(self, target: Target, way: Way, scenario: Scenario) -> None:
        """Lets a server see every mailbox of the scenario once."""
        server = self.servers.server(target, way)
        unseen = [user for user in scenario.users() if (target.name, way, user) not in self.seen]
        if not unseen:
            return
        if len(unseen) == scenario.accounts:
            self.log_in(server, scenario.user, scenario.messages, False, scenario.accounts)
        else:
            self.log_in(server, unseen, scenario.messages, False)
        self.seen |= {(target.name, way, user) for user in unseen}

    def forget(self, target: Target, way: Way) -> None:
        """It was started anew: what it had in memory is gone, and the next scenario wants it there."""
        self.seen = {entry for entry in self.seen if entry[:2] != (target.name, way)}

    def log_in(self, server: Dovecot | Bridge, users: str | list[str], messages: int, tls: bool, accounts: int = 1) -> None:
        """Log in, STAT, QUIT, by names or by a pattern."""
        for user in [users] if isinstance(users, str) else users:
            port = server.ports["pop3s" if tls else "pop3"]
            words = ["run", "--scenario", "login", "--address", f"127.0.0.1:{port}", "--user", user]
            words += ["--accounts", str(accounts), "--sessions", str(accounts), "--concurrency", str(min(8, accounts))]
            figures = self.clients([self.places.load, *words, "--messages", str(messages)] + (["--tls"] if tls else []))
            if figures["errors"] or figures["mismatches"]:
                raise BenchError(f"{server.name} does not serve {user}")

    def clients(self, command: list[Any], patience: float = PATIENCE) -> Figures:
        """Runs the load generator to its end."""
        child = Child("load", command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, complaints = child.process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            raise BenchError(f"no end after {patience:.0f} s") from None
        finally:
            child.stop()
        if complaints:
            print(f"  {complaints.strip()[:300]}", file=sys.stderr, flush=True)
        if not out:
            raise BenchError(f"the load generator ended with {child.process.returncode}")
        figures: Figures = json.loads(out)
        return figures

    def sample(self, command: list[Any], server: Dovecot | Bridge, scenario: Scenario) -> Figures:
        """Clients to their end, with the server's memory watched where that is asked for."""
        if scenario.name not in ("big25MB", "office"):
            return self.clients(command)
        office = scenario.command == "office"
        sampler = procfs.Sampler(server.pids, 1.0 if office else 0.02)
        try:
            figures = self.clients(command, PATIENCE + float(scenario.options.get("duration", 0)))
        finally:
            sampler.stop()
        figures["memory_added_kib"] = sampler.peak - sampler.first
        if office:
            figures["rss_start_mib"] = sampler.first / 1024
            figures["rss_middle_mib"] = sampler.middle / 1024
            figures["rss_end_mib"] = sampler.last / 1024
            figures["rss_growth"] = sampler.last / max(1, sampler.middle)
            figures["rss_kib_by_s"] = [[round(at), rss] for at, rss in sampler.samples[::10]]
        return figures

    def hold(self, command: list[Any], server: Dovecot | Bridge) -> Figures:
        """Sessions opened, the server's memory read, sessions closed."""
        pids = server.pids()
        before = procfs.memory(pids)
        child = Child("load", command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            stdout = child.process.stdout
            assert stdout
            told = stdout.readline()
            if not told:
                raise BenchError("the load generator ended early")
            figures: Figures = json.loads(told)
            time.sleep(1)
            added = procfs.memory(pids).since(before)
            with suppress(subprocess.TimeoutExpired):  # how long goodbyes take is not measured
                child.process.communicate("\n", timeout=60)
        finally:
            child.stop()
        sessions = max(1, figures["sessions"])
        figures["pss_per_session"] = added.pss / sessions
        figures["rss_per_session"] = added.rss / sessions
        figures["sessions_per_s"] = sessions / figures["wall_s"]
        return figures

    def one_copy(self, scenario: Scenario) -> int:
        """The octets of the scenario's messages; 1 where it has no bodies."""
        if not scenario.manifest:
            return 1
        lines = self.places.manifest(scenario.manifest).read_text().splitlines()
        return sum(int(line.split("\t")[0]) for line in lines)
