"""A kept run, run again from its own configuration, and compared with what was kept."""

from pathlib import Path
from typing import Any

from nt_run.differences import compare_runs
from nt_run.errors import CheckFailedError
from nt_run.inputs import CACHE
from nt_run.pipeline import backtest
from nt_run.progress import ProgressDisplay
from nt_run.results import load_run


def replay_run(
    name: str | None,
    *,
    cache_dir: Path | str = CACHE,
    offline: bool = False,
    progress: ProgressDisplay | None = None,
) -> dict[str, Any]:
    """Run a kept run again and return how the two compare, `a` the kept one, `b` the new one, which is not kept.

    Raises:
        ResultsError: There is no such run, or it is damaged.
        NtRunError: As for a backtest.
    """
    kept = load_run(name, Path(cache_dir) / "runs")
    again = backtest(kept.config, cache_dir=cache_dir, offline=offline, save=False, progress=progress)
    return compare_runs(kept, again)


def refuse_difference(compared: dict[str, Any]) -> None:
    """Refuse a replay that came out differently.

    Raises:
        CheckFailedError: It did; the message says from where on.
    """
    if compared["identical"]:
        return
    parted = [f"{name} from row {first['row']}" for name, first in compared["parted"].items() if first]
    where = ", ".join(parted) or ("the figures" if compared["bars"] else "the bars")
    raise CheckFailedError(f"{compared['a']} came out differently: {where}.")
