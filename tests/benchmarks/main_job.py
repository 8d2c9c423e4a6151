"""The main job, measured from outside: whole processes, their CPU seconds and peak memory.

    python tests/benchmarks/main_job.py [--days 365] [--rounds 3]

Prepares a warm cache of the demo market, then runs, in turn:
`nt-run --help`, `nt-run specs` offline, and a year of 1m bars through ema_cross 10/21 against `bare_engine.py`, which
gives the same bars and strategy to the engine and does nothing else. Medians over the rounds, and their ratio.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from nt_run.results import load_run

NT_RUN = [sys.executable, "-m", "nt_run"]
END = "2026-06-30"


class Cost(NamedTuple):
    cpu: float
    wall: float
    megabytes: float


def measure(command: list[str]) -> Cost:
    """Run a command to its end and return what the operating system charged for it."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"{' '.join(command)} failed")
    return Cost(usage.ru_utime + usage.ru_stime, time.perf_counter() - started, usage.ru_maxrss / 1024)


def median(costs: list[Cost]) -> Cost:
    return Cost(*(statistics.median(values) for values in zip(*costs, strict=True)))


def prepare(cache: Path, days: int) -> tuple[list[str], list[str]]:
    """Fill the cache, run once, and return the two commands to compare."""
    options = ["--demo", "--end", END, "--days", str(days), "--set", "sizing.compound=false", "--cache-dir", str(cache)]
    first = subprocess.run([*NT_RUN, "backtest", *options, "--json", "-q"], capture_output=True, check=True)
    summary = json.loads(first.stdout)
    print(f"{summary['bars']['fed']:,} bars, {summary['fills']:,} fills, data {summary['data']['fingerprint'][:12]}")
    klines = cache / "runs" / summary["run_id"] / "klines.parquet"
    bare = [sys.executable, str(Path(__file__).with_name("bare_engine.py")), str(klines)]
    digits = load_run(summary["run_id"], cache / "runs").klines.exponents.price
    bare += [summary["sizing"]["first"]["quantity"], str(digits)]
    orders = subprocess.run(bare, capture_output=True, check=True, text=True).stdout.split()[-2]
    if int(orders) != summary["fills"]:
        sys.exit(f"the bare script sends {orders} orders: it is not the same work")
    return [*NT_RUN, "backtest", *options, "--offline", "-q"], bare


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        job, bare = prepare(cache, arguments.days)
        specs = [*NT_RUN, "specs", "--demo", "--offline", "--cache-dir", folder]
        commands = {"nt-run --help": [*NT_RUN, "--help"], "nt-run specs, offline": specs, "main job": job, "bare": bare}
        costs: dict[str, list[Cost]] = {name: [] for name in commands}
        for _ in range(arguments.rounds):
            for name, command in commands.items():
                costs[name].append(measure(command))
    print(f"{'':24}{'CPU s':>8}{'wall s':>8}{'MB':>8}")
    for name, rounds in costs.items():
        cost = median(rounds)
        print(f"{name:24}{cost.cpu:8.2f}{cost.wall:8.2f}{cost.megabytes:8.0f}")
    ratios = [ours.cpu / theirs.cpu for ours, theirs in zip(costs["main job"], costs["bare"], strict=True)]
    print(f"main job ÷ bare: {statistics.median(ratios):.2f} (rounds: {', '.join(f'{ratio:.2f}' for ratio in ratios)})")


if __name__ == "__main__":
    main()
