"""How long `nt-run runs list` takes with thousands of kept runs: with its index, and while it makes it.

Run it with `python tests/benchmarks/run_list.py [RUNS]`. The runs are copies of one of the demo market, with what a
listing reads: summary and equity.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nt_run import backtest, load_config

ROUNDS = 7
NT_RUN = Path(sys.executable).with_name("nt-run")


def make_runs(cache: Path, number: int) -> None:
    kept = backtest(load_config(overrides={"demo": True}), cache_dir=cache).path
    assert kept is not None
    summary = json.loads((kept / "summary.json").read_text())
    for count in range(number - 1):
        name = f"{20260101 + count // 1000}T{count % 1000:06d}000Z-{kept.name.split('-', 1)[1]}"
        folder = kept.parent / name
        folder.mkdir()
        shutil.copy(kept / "equity.parquet", folder)
        (folder / "summary.json").write_text(json.dumps(summary | {"run_id": name}, indent=2))


def timed(*arguments: str, cache: Path) -> tuple[float, float]:
    wall, before = time.perf_counter(), os.times()
    done = subprocess.run(
        [NT_RUN, "runs", "list", *arguments],
        env={**os.environ, "NT_RUN_CACHE": str(cache)},
        check=True,
        capture_output=True,
    )
    after = os.times()
    assert done.stdout
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - wall, cpu


def show(what: str, rounds: list[tuple[float, float]]) -> None:
    wall, cpu = (sorted(one[at] for one in rounds) for at in (0, 1))
    print(f"{what:<28} {wall[0]:>8.2f} {wall[len(wall) // 2]:>8.2f} {cpu[0]:>8.2f} {cpu[len(cpu) // 2]:>8.2f}")


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        make_runs(cache, number)
        print(f"{number:,} runs")
        print(f"{'seconds':<28} {'best':>8} {'median':>8} {'CPU':>8} {'median':>8}")
        show("without an index", [timed(cache=cache)])
        show("listed", [timed(cache=cache) for _ in range(ROUNDS)])
        show("listed as JSON", [timed("--json", cache=cache) for _ in range(ROUNDS)])
        show(
            "sorted, one symbol", [timed("--sort", "sharpe", "--symbol", "BTCUSDT", cache=cache) for _ in range(ROUNDS)]
        )
        print(f"index {(cache / 'runs' / '.index.json').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
