"""Which folder of `<cache>/runs` is a run's: by id, by the start of an id, or the latest; and how it goes."""

import shutil
import tempfile
from pathlib import Path

from nt_run.errors import ResultsError

SUMMARY = "summary.json"
"""A folder that has one is a run: it is written last."""
LATEST = "latest"
"""The name that the latest run answers to."""


def find_run(name: str | Path | None, runs: Path) -> Path:
    """Return the folder of a kept run; `None` and `latest` are the latest one.

    Raises:
        ResultsError: No run, or more than one, answers to the name.
    """
    name = None if name == LATEST else name
    if name is not None and (Path(name) / SUMMARY).is_file():
        return Path(name)
    found = sorted(folder for folder in _folders(runs) if name is None or folder.name.startswith(str(name)))
    if name is None:
        if not found:
            raise ResultsError(f"There is no run in {runs} yet. Start with: nt-run backtest --symbol BTCUSDT")
        return found[-1]
    exact = [folder for folder in found if folder.name == str(name)] or found
    if len(exact) == 1:
        return exact[0]
    if not exact and (runs / str(name)).is_dir():
        raise ResultsError(f"{runs / str(name)} is not a whole run: it has no {SUMMARY}. Run the backtest again.")
    if not exact:
        raise ResultsError(f"There is no run {str(name)!r} in {runs}. `nt-run runs list` shows what there is.")
    raise ResultsError(f"{str(name)!r} is the start of {len(exact)} runs: {', '.join(f.name for f in exact[:3])} …")


def find_pair(a: str | None, b: str | None, runs: Path) -> tuple[Path, Path]:
    """Return the folders of two kept runs; left out, `b` is the latest one and `a` the one before it.

    Raises:
        ResultsError: No run, or more than one, answers to a name.
    """
    if a is not None:
        return find_run(a, runs), find_run(b, runs)
    found = sorted(_folders(runs))
    if len(found) < 2:  # noqa: PLR2004 - a pair
        raise ResultsError(f"There are no two runs in {runs} yet to compare.")
    return found[-2], found[-1]


def remove_run(folder: Path, runs: Path) -> None:
    """Delete a kept run: gone at once for everybody else, whatever happens while its files are deleted.

    Raises:
        ResultsError: The folder is not one of `runs`, or cannot be deleted.
    """
    if folder.resolve().parent != runs.resolve() and not folder.is_symlink():
        raise ResultsError(f"{folder} is not in {runs}, so it stays. Delete the folder yourself if you mean it.")
    try:
        if folder.is_symlink():
            folder.unlink()
            return
        scratch = Path(tempfile.mkdtemp(prefix=".removing-", dir=runs))
        folder.rename(scratch / folder.name)
        shutil.rmtree(scratch)
    except OSError as exc:
        raise ResultsError(f"{folder} cannot be deleted: {exc.strerror or exc}.") from exc


def _folders(runs: Path) -> list[Path]:
    if not runs.is_dir():
        return []
    return [folder for folder in runs.iterdir() if not folder.name.startswith(".") and (folder / SUMMARY).is_file()]
