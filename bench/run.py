#!/usr/bin/env python3
"""The driver of `make bench`: builds, makes the mailboxes, starts the servers, measures, writes the tables. See README.md."""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import TypeVar

# Nothing is written outside of target.
sys.pycache_prefix = str(Path(__file__).resolve().parents[1] / "target" / "bench" / "pycache")

from harness import document, dovecot, mail, report  # noqa: E402 (after the line above)
from harness.machine import about  # noqa: E402
from harness.measure import Measure  # noqa: E402
from harness.places import BENCH, DOCUMENT, ROOT, Account, BenchError, Places, program  # noqa: E402
from harness.processes import Ports, stop_all  # noqa: E402
from harness.results import Figures, Results, Writer  # noqa: E402
from harness.scenarios import SCENARIOS, Scenario  # noqa: E402
from harness.targets import Servers, Target, targets  # noqa: E402

# A thousand sessions, and as many connections to the upstream behind them.
OPEN_FILES = 20_000


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures popbridge beside Dovecot.")
    parser.add_argument("--scenarios", default="", metavar="A,B", help="only these")
    parser.add_argument("--targets", default="", metavar="A,B", help="only these")
    parser.add_argument("--reps", type=int, default=3, metavar="N", help="repetitions, of which the medians count (3)")
    parser.add_argument("--office", type=int, default=600, metavar="S", help="how long the office lasts (600)")
    parser.add_argument("--quick", action="store_true", help="few sessions, to try the bench itself")
    parser.add_argument("--slow", action="store_true", help="also the peer's first list over 40 ms: 7 minutes")
    parser.add_argument(
        "--variant", action="append", default=[], metavar="NAME=FILE", help="popbridge with more lines of configuration"
    )
    parser.add_argument("--dir", type=Path, default=ROOT / "target" / "bench", help="for everything that is made")
    parser.add_argument("--document", action="store_true", help="write docs/performance.md whatever was measured")
    parser.add_argument("--from", dest="files", nargs="+", type=Path, metavar="FILE", help="measure nothing: tables of these")
    return parser.parse_args()


Named = TypeVar("Named", Scenario, Target)


def chosen(all_of_them: list[Named], names: str) -> list[Named]:
    """Those with these names (all, if there are none), in the order of the table."""
    wanted = [name for name in names.split(",") if name]
    known = [one.name for one in all_of_them]
    for name in wanted:
        if name not in known:
            raise BenchError(f"there is no {name}; there are {', '.join(known)}")
    return [one for one in all_of_them if not wanted or one.name in wanted]


def build(places: Places) -> Path:
    """Both programs; gives the path of popbridge."""
    cargo = program("cargo", "cargo")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    print("building popbridge and the load generator", flush=True)
    subprocess.run([cargo, "build", "--release", "--locked", "--quiet"], cwd=ROOT, check=True)
    load = [cargo, "build", "--release", "--locked", "--quiet", "--target-dir", str(places.top / "cargo")]
    subprocess.run(load, cwd=BENCH / "load", check=True)
    return ROOT / target / "release" / "popbridge"


def allow_open_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < OPEN_FILES:
        print(f"only {hard} files may be open (ulimit -Hn): Dovecot wants {OPEN_FILES}", file=sys.stderr)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def measure(options: argparse.Namespace, some: list[Scenario], columns: list[Target], places: Places) -> tuple[Results, int]:
    """Everything that was asked for, target by target within each scenario, scenario by scenario within each repetition.

    Gives the figures, and how many measurements did not come about."""
    account = Account.for_servers()
    places.top.mkdir(parents=True, exist_ok=True)
    account.must_reach(places.top)
    places.lock()
    binary = build(places)
    mail.prepare(places, account)
    dovecot.make_certificate(places, account)
    shutil.rmtree(places.run, ignore_errors=True)
    places.run.mkdir()
    account.folder(places.homes)
    allow_open_files()

    results, failed = Results(), 0
    kitchen = dovecot.Kitchen(places, account, Ports())
    results.about = about(kitchen.version, command_line())
    file = places.results / f"{datetime.now():%Y%m%d-%H%M%S}.jsonl"
    writer = Writer(file, results.about)
    print(f"figures go to {file}", flush=True)
    measurer = Measure(places, Servers(places, kitchen, kitchen.ports, binary))
    for repetition in range(options.reps):
        for scenario in some:
            if scenario.once and repetition < options.reps - 1:
                continue
            for target in columns:
                if not target.runs(scenario, options.slow):
                    continue
                try:
                    figures = measurer.run(target, scenario)
                except BenchError as error:
                    print(f"[{repetition + 1}] {scenario.name:13} {target.name:18} {error}", file=sys.stderr, flush=True)
                    failed += 1
                    continue
                figures |= {"scenario": scenario.name, "target": target.name, "repetition": repetition}
                results.add(figures)
                writer.write(figures)
                print(line(figures), flush=True)
    return results, failed


def line(figures: Figures) -> str:
    """One run, for who is watching."""
    head = f"[{figures['repetition'] + 1}] {figures['scenario']:13} {figures['target']:18}"
    times = f"{figures['wall_s']:8.2f} s, p50 {figures.get('p50_ms', 0):9.1f} ms, CPU {figures['cpu_s']:6.2f} s"
    rest = f"upstream {figures['upstream_cpu_s']:6.2f}, other {figures['other_cpu_s']:5.2f}"
    trouble = f", errors {figures['errors']}, mismatches {figures['mismatches']}"
    return f"{head} {times}, {rest}" + (trouble if figures["errors"] or figures["mismatches"] else "")


def command_line() -> str:
    """What was asked for, as `make` has it."""
    given = os.environ.get("BENCH_COMMAND")
    return given.strip() if given else shlex.join(["bench/run.py", *sys.argv[1:]])


def main() -> None:
    options = arguments()
    places = Places(options.dir.resolve())
    variants = dict(entry.split("=", 1) for entry in options.variant)
    every = targets({name: Path(file).read_text() for name, file in variants.items()})
    if options.files:
        results, failed, whole = Results.read(options.files), 0, False
    else:
        some = [scenario.lasting(options.office) for scenario in chosen(list(SCENARIOS), options.scenarios)]
        columns = chosen(every, options.targets)
        if options.quick:
            some = [scenario.shortened() for scenario in some]
        whole = not (options.scenarios or options.targets or options.quick)
        results, failed = measure(options, some, columns, places)
    tables = report.everything(results, every)
    places.top.mkdir(parents=True, exist_ok=True)
    (places.top / "performance.md").write_text(tables)
    print(f"\n{tables}")
    if whole or options.document:
        document.rewrite(DOCUMENT, tables)
        print(f"written to {DOCUMENT.relative_to(ROOT)}")
    if failed or results.any_flaw():
        raise BenchError("some sessions or measurements failed: see above")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main()
    except BenchError as error:
        sys.exit(f"bench: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stop_all()
