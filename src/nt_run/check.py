"""Check a strategy: the runs that `nt_run.honesty` asks for, one after another, and what they showed as one object.

Run as a module (`python -m nt_run.check CONFIG.toml CACHE`) it prints the orders of one run as JSON: a fresh process of
the first test.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from concurrent import futures as threads
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from nt_run.config import RunConfig, load_config
from nt_run.engine.job import EngineOutput
from nt_run.engine.run import run_engine
from nt_run.errors import ResultsError, RunError, UsageError
from nt_run.folders import find_run
from nt_run.honesty import Findings, Moment, check_future, check_later_starts, first_difference
from nt_run.inputs import CACHE, Inputs, load_inputs, open_market
from nt_run.klines import Klines
from nt_run.lens import Lens, seen_through
from nt_run.model import SentOrder
from nt_run.moments import early_moments
from nt_run.progress import ProgressDisplay
from nt_run.running import engine_input
from nt_run.strategies.resolver import check_params, resolve_strategy
from nt_run.summary import exchange_warning
from nt_run.verdict import check_object

TIMES = 5
_EARLY = 18
"""Early moments for each one over the whole range. With the default's 90, whoever looks ahead in a tenth of his orders,
and sends enough of them, is missed once in 13,000 times: 0.9^90."""
_HASH_SEEDS = ("20240101", "1", "2", "3")
"""Orders of sets of the fresh processes: of two ways to decide, all of them and this process go the same once in 16."""


def check(
    config: RunConfig,
    *,
    times: int = TIMES,
    seed: int = 1,
    cache_dir: Path | str = CACHE,
    offline: bool = False,
    progress: ProgressDisplay | None = None,
) -> dict[str, Any]:
    """Run the three tests of `nt_run.honesty` and return what they showed; no run is kept.

    Sizes do not compound here: a later start would else differ by its equity alone.

    Args:
        config: What to run, as for a backtest.
        times: After how many moments over the whole range the future is replaced.
        seed: Which moments, and which noise.
        cache_dir: Folder of market data.
        offline: Use the cache alone and open no connection.
        progress: Where progress is shown; `None` shows none.

    Raises:
        UsageError: `times` is not above zero.
        NtRunError: As for a backtest.
    """
    if times < 1:
        raise UsageError(f"--times must be at least 1, and is {times}.")
    progress = progress or ProgressDisplay(quiet=True)
    config = msgspec.structs.replace(config, sizing=msgspec.structs.replace(config.sizing, compound=False))
    # A parameter it cannot have is refused before any data is loaded.
    check_params(resolve_strategy(config.strategy.name), config.strategy.params)
    with open_market(config, cache_dir=Path(cache_dir), offline=offline, progress=progress) as market:
        inputs = load_inputs(market, config, progress)
    config = config.resolved(inputs.time_range, config.strategy.params)
    runs = _Runs(config, inputs, progress, planned=2 + 3)
    klines = inputs.klines.klines
    whole = runs(klines, klines, None)
    with _fresh_processes(config, Path(cache_dir)) as fresh:
        again = first_difference(whole.sent, runs(klines, klines, None).sent)
        moments = [] if again else _look_ahead(runs, whole, times=times, seed=seed)
        starts = [] if again else check_later_starts(runs, klines, whole)
        compared = 0
        while again is None and compared < len(fresh):
            again = first_difference(whole.sent, fresh[compared].result())
            compared += 1
    if again:
        # A strategy that never does the same twice fails the other tests, too, and for no reason of theirs.
        moments, starts = [], []
    found = Findings(orders=len(whole.sent), processes=compared, again=again, moments=moments, starts=starts)
    market_facts = {
        "instrument_id": inputs.specs.specs.instrument_id,
        "bars": len(klines),
        "seed": seed,
        "warnings": [*exchange_warning(config), *inputs.warnings],
    }
    return check_object(config, found) | market_facts


def _look_ahead(runs: "_Runs", whole: EngineOutput, *, times: int, seed: int) -> list[Moment]:
    """Replace the future: thoroughly where the strategy was given other bars than those that came one by one."""
    klines = runs.inputs.klines.klines
    early = early_moments(klines, whole, _EARLY * times, seed) if runs.informed else None
    runs.planned += times if early is None else 3 * times + len(early)
    return check_future(
        runs,
        klines,
        whole,
        tick=runs.inputs.specs.specs.tick_size,
        times=times,
        seed=seed,
        early=early,
        keep_open=runs.config.execution.fill == "next-open",
    )


def checked_config(target: str, overrides: Mapping[str, object], runs: Path) -> RunConfig:
    """Return the configuration of what is to be checked: a strategy, a TOML file, or a kept run in `runs`.

    Raises:
        UsageError: It cannot be used.
        ResultsError: More than one run answers to the name.
    """
    if target.endswith(".toml"):
        return load_config(target, overrides)
    folder = _kept(target, runs)
    if folder is not None:
        return load_config(folder / "config.toml", overrides, kept=True)
    return load_config(None, {**overrides, "strategy.name": target})


def _kept(target: str, runs: Path) -> Path | None:
    try:
        return find_run(target, runs)
    except ResultsError:
        if (runs / target).exists():
            raise
        return None


@dataclass
class _Runs:
    """Runs the strategy, found anew each time so that what its file does when loaded is done again."""

    config: RunConfig
    inputs: Inputs
    progress: ProgressDisplay
    planned: int
    done: int = 0
    informed: bool = False
    """Whether the strategy was given a history, or asked for klines."""

    def __call__(self, klines: Klines, history: Klines, lens: Lens | None) -> EngineOutput:
        """Run the strategy fed with `klines`, told `history`, all else seen through `lens`."""
        self.progress.step("runs", self.done, self.planned)
        self.done += 1

        def told(klines: Klines) -> Klines:
            self.informed = True
            return klines if lens is None else lens(klines)

        with seen_through(told):
            strategy = resolve_strategy(self.config.strategy.name)
            self.informed = self.informed or "history" in strategy.accepts
            params = check_params(strategy, self.config.strategy.params)
            whole = engine_input(self.config, self.inputs, strategy, params)
            return run_engine(replace(whole, klines=klines, history=history, keep_sent=True))


@contextmanager
def _fresh_processes(config: RunConfig, cache_dir: Path) -> Generator[list[threads.Future[list[SentOrder]]]]:
    """Have the same run made in processes of their own, each with another order of sets, beside what this one does.

    Whoever ends early ends them, too.
    """
    with tempfile.TemporaryDirectory() as folder, threads.ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 1)) as pool:
        path = Path(folder, "config.toml")
        path.write_text(config.to_toml(), encoding="utf-8")
        running: set[subprocess.Popen[bytes]] = set()
        started = [pool.submit(_fresh_orders, path, cache_dir, seed, running) for seed in _HASH_SEEDS]
        try:
            yield started
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(running):
                process.kill()


def _fresh_orders(
    config: Path, cache_dir: Path, hash_seed: str, running: set[subprocess.Popen[bytes]]
) -> list[SentOrder]:
    # -P: what lies in the current folder must not take the place of packages.
    with subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-P", "-m", "nt_run.check", str(config), str(cache_dir)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        running.add(process)
        out, err = process.communicate()
        running.discard(process)
    if process.returncode:
        said = err.decode(errors="replace").strip().splitlines()
        why = said[-1] if said else f"it ended with {process.returncode}"
        raise RunError(
            f"The same run in a fresh process failed, though it worked here: {why}. "
            "Does the strategy depend on its environment?"
        )
    return msgspec.json.decode(out, type=list[SentOrder])


def _print_orders(config: Path, cache_dir: Path) -> None:
    settings = load_config(config)
    with redirect_stdout(sys.stderr):
        with open_market(settings, cache_dir=cache_dir, offline=True) as market:
            inputs = load_inputs(market, settings)
        klines = inputs.klines.klines
        orders = _Runs(settings, inputs, ProgressDisplay(quiet=True), planned=1)(klines, klines, None).sent
    sys.stdout.buffer.write(msgspec.json.encode(orders))


if __name__ == "__main__":
    _print_orders(Path(sys.argv[1]), Path(sys.argv[2]))
