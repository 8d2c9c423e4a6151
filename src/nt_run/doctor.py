"""`nt-run doctor`: what this machine lacks for a backtest, a chart or fresh data, and what helps."""

import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Literal

from nt_run.chart.display import prepare_window, probe_finplot, probe_offscreen
from nt_run.config import RunConfig, load_config
from nt_run.data.selection import Selection
from nt_run.errors import ChartError, CheckFailedError, DataError, NtRunError
from nt_run.history import run_rows
from nt_run.inputs import open_market

type State = Literal["ok", "note", "wrong"]

PYTHONS = ((3, 13), (3, 14))
_FREE_BYTES = 1_000_000_000
"""Less is too little for a year of minutes and what is made of it."""
_SKEW_S = 2.0
_LISTED = 3


def examine(cache_dir: Path, *, offline: bool = False) -> list[dict[str, Any]]:
    """Look at everything a run needs, and return what was found, one object each.

    Each has `name`, `state` (`ok`; `note`: something cannot be done here, but backtests can; `wrong`), `found`, and
    `help`: what to do, empty where all is well. No data is changed, and with `offline` no connection is opened.
    """
    return [
        _python(),
        _libraries(),
        _tried("pictures", probe_offscreen, "PNG charts can be drawn"),
        _tried("window", _try_window, "charts can be shown"),
        _terminal(),
        *_network(load_config(), cache_dir, offline=offline),
        _folder(cache_dir),
        *(_store(load_config(None, {"demo": demo}), cache_dir) for demo in (False, True)),
        _runs(cache_dir),
    ]


def refuse_wrong(findings: Sequence[dict[str, Any]]) -> None:
    """Do nothing if nothing needed is wrong.

    Raises:
        CheckFailedError: Something is.
    """
    if wrong := [each["name"] for each in findings if each["state"] == "wrong"]:
        raise CheckFailedError(f"Something needed is wrong: {', '.join(wrong)}.")


def _finding(name: str, state: State, found: str, help_: str = "") -> dict[str, Any]:
    return {"name": name, "state": state, "found": found, "help": help_}


def _python() -> dict[str, Any]:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] in PYTHONS:
        return _finding("Python", "ok", found)
    wanted = " or ".join(f"{major}.{minor}" for major, minor in PYTHONS)
    return _finding("Python", "wrong", f"{found}, and {wanted} is needed", "python3.13 -m venv .venv")


def _libraries() -> dict[str, Any]:
    """Are the packages there that nt-run asks for, and where it asks for one version alone, that one?"""
    try:
        wanted = [line for line in requires("nt-run") or () if "extra ==" not in line]
    except PackageNotFoundError:
        return _finding("libraries", "wrong", "nt-run itself is not installed", "pip install -e .")
    missing: list[str] = []
    for line in wanted:
        name, pinned = re.split(r"[^\w.-]", line)[0], re.search(r"==([\w.]+)", line)
        try:
            found = version(name)
        except PackageNotFoundError:
            missing.append(f"{name} is missing")
            continue
        if pinned and found != pinned[1]:
            missing.append(f"{name} is {found} instead of {pinned[1]}")
    if missing:
        return _finding("libraries", "wrong", ", ".join(missing), "pip install -e . (in the folder of nt-run)")
    return _finding("libraries", "ok", f"{len(wanted)} of {len(wanted)}, nautilus_trader {version('nautilus_trader')}")


def _tried(name: str, attempt: Callable[[], None], found: str) -> dict[str, Any]:
    try:
        attempt()
    except ChartError as exc:
        reason, _, hint = str(exc).partition("\n")
        return _finding(name, "note", reason, hint)
    return _finding(name, "ok", found)


def _try_window() -> None:
    prepare_window()
    probe_finplot()


def _terminal() -> dict[str, Any]:
    encoding = (sys.stdout.encoding or "").lower()
    if encoding.startswith("utf"):
        return _finding("terminal", "ok", "UTF-8")
    hint = "export LC_ALL=C.UTF-8"
    return _finding(
        "terminal", "note", f"{encoding or 'no encoding'}: signs are spelled out, curves drawn with *", hint
    )


def _network(config: RunConfig, cache_dir: Path, *, offline: bool) -> list[dict[str, Any]]:
    """Does the exchange answer, and does it agree about the time?"""
    address = config.exchange.rest_url
    if offline:
        return [_finding("exchange", "note", f"{address} was not asked", "")]
    try:
        with open_market(config, cache_dir=cache_dir, offline=False) as market:
            market.server_time_ms()  # the first answer also takes the time of connecting
            before = time.time()
            server = market.server_time_ms() / 1000
            after = time.time()
    except NtRunError as exc:
        reason = str(exc).split("\n", 1)[0]
        return [_finding("exchange", "note", reason, "Without it: --offline for what is cached, --demo for a try.")]
    findings = [_finding("exchange", "ok", f"{address} answers in {(after - before) * 1000:,.0f} ms")]
    skew = (before + after) / 2 - server
    if abs(skew) <= _SKEW_S + (after - before):
        return [*findings, _finding("clock", "ok", f"{skew:+.1f} s against the exchange's")]
    found = f"{skew:+,.1f} s against the exchange's, which is the one that decides which bars are closed"
    return [*findings, _finding("clock", "note", found, "timedatectl set-ntp true")]


def _folder(cache_dir: Path) -> dict[str, Any]:
    """Can the cache be written, and is there room?"""
    there = cache_dir.absolute()
    while not there.exists():
        there = there.parent
    if not _takes_files(there):
        return _finding(
            "cache", "wrong", f"{there} cannot be written", "Choose another folder: --cache-dir, NT_RUN_CACHE"
        )
    free = shutil.disk_usage(there).free
    found = f"{cache_dir}, {free / 1e9:,.1f} GB free"
    if free < _FREE_BYTES:
        return _finding("cache", "note", found, "nt-run data prune lists what could go")
    return _finding("cache", "ok", found)


def _takes_files(folder: Path) -> bool:
    """Try it: what the rights say is not all, least of all to an administrator."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _store(config: RunConfig, cache_dir: Path) -> dict[str, Any]:
    """Are the files of the store what they were when they were written?"""
    name, flag = ("demo store", " --demo") if config.demo else ("store", "")
    try:
        with open_market(config, cache_dir=cache_dir, offline=True) as market:
            verified = market.verify(Selection())
    except DataError as exc:
        return _finding(name, "wrong", str(exc).split("\n", 1)[0], f"nt-run data verify{flag}")
    if not verified.problems:
        files = f"{verified.files:,} files, {verified.rows:,} rows, as they were written"
        return _finding(name, "ok", files if verified.files else "nothing yet")
    told = "; ".join(f"{one.file} {one.reason}" for one in verified.problems[:_LISTED])
    return _finding(name, "wrong", f"{len(verified.problems):,} problems: {told}", f"nt-run data repair{flag}")


def _runs(cache_dir: Path) -> dict[str, Any]:
    rows, damaged = run_rows(cache_dir / "runs")
    if not damaged:
        return _finding("kept runs", "ok", f"{len(rows):,}")
    more = "" if len(damaged) <= _LISTED else f" and {len(damaged) - _LISTED:,} more"
    told = f"{len(rows):,}, and {len(damaged):,} damaged: {', '.join(damaged[:_LISTED])}{more}"
    return _finding("kept runs", "note", told, f"nt-run runs rm {damaged[0]}")
