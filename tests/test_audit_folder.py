"""Planted faults in every file of a run folder, one at a time: each is named, most of them by what they say."""

import datetime as dt
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest

from nt_run.audit import audit, audit_run
from nt_run.config import load_config
from nt_run.data.content import fingerprint
from nt_run.pipeline import backtest
from nt_run.published import read_published
from nt_run.results import load_run
from test_audit import at_row, beside_files, change

D = Decimal
FRAMES = (
    "detail",
    "detail_marks",
    "equity",
    "fills",
    "funding",
    "klines",
    "marks",
    "orders",
    "plots",
    "settlements",
    "trades",
)
ALONE = {"plots/price/upper", "plots/price/lower", "orders/since"}
"""Columns that only the checksums hold to anything: what is drawn, and since when an order waits."""
ALONE_SUMMARY = """
    run_id created exchange specs.checks. specs.accurate sizing.first.asked_share sizing.first.actual_share
    sizing.first.capped_by risk_audit.max_unexplained ambiguity.detail.rounds
    ambiguity.detail.settled ambiguity.detail.sources. filters.by_filter.LOT_SIZE.rounded margin.brackets_source
    margin.brackets_as_of margin.brackets_known data.sources. data.mark_fingerprint data.across_holes. warnings.
    versions. timings.
"""
"""The same of the summary: where something is from, how it came about, and what the sizer had asked."""
OTHER = {
    "buy": "sell",
    "sell": "buy",
    "maker": "taker",
    "taker": "maker",
    "limit": "stop_market",
    "stop_market": "limit",
    "market": "limit",
    "filled": "cancelled",
    "cancelled": "filled",
    "mark_price": "last_close",
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with a run that has every file a folder can have: stops, targets, finer bars, mark prices, lines."""
    folder = tmp_path_factory.mktemp("cache")
    given: dict[str, Any] = {"demo": True, "interval": "1h", "start": "2026-05-01", "end": "2026-05-08"}
    given |= {"strategy.name": "donchian_breakout", "strategy.params.period": 5, "execution.detail": "5m"}
    given |= {"strategy.params.target": 0.003, "strategy.params.stop": 0.003, "account.leverage": 50}
    given |= {"sizing.method": "stop", "sizing.stop_distance": "0.004", "sizing.fraction": "0.05"}
    run = backtest(load_config(None, given), cache_dir=folder)
    assert run.path is not None
    files = {path.name for path in run.path.iterdir()}
    assert files == {f"{name}.parquet" for name in FRAMES} | {"config.toml", "specs.json", "summary.json", "SHA256SUMS"}
    return folder


@pytest.fixture
def kept(cache: Path, tmp_path: Path) -> Path:
    (folder,) = (cache / "runs").iterdir()
    return shutil.copytree(folder, tmp_path / "run")


def other(value: Any) -> Any:
    """Return another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        try:
            return str(D(value) + D("0.1"))
        except ArithmeticError:
            return OTHER.get(value, value + "x")
    if isinstance(value, dt.datetime):
        return value + dt.timedelta(hours=1)
    return D(value) + D("0.1") if isinstance(value, D) else 1 if value is None else value + 1


def filled_row(frame: pl.DataFrame, column: str) -> int:
    """Return a row in the middle that has a value there, and of an order that was filled."""
    there = frame[column].is_not_null()
    there &= (frame["ended"] == "filled") if "ended" in frame.columns else True
    rows = [at for at, known in enumerate(there.to_list()) if known]
    return rows[len(rows) // 2]


@pytest.mark.parametrize("name", FRAMES)
def test_a_changed_cell_of_every_column_is_named(cache: Path, kept: Path, name: str) -> None:
    path = kept / f"{name}.parquet"
    whole, frame = path.read_bytes(), pl.read_parquet(path)
    for column in frame.columns:
        change(kept, name, at_row(filled_row(frame, column), column, other))
        report = audit(str(kept), cache)
        assert [each["what"] for each in report["violations"] if each["check"] == "files"] == [f"{name}.parquet"]
        assert bool(beside_files(report)) == (f"{name}/{column}" not in ALONE), column
        path.write_bytes(whole)


ROWS: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "dropped": lambda frame: pl.concat([frame[: frame.height // 2], frame[frame.height // 2 + 1 :]]),
    "doubled": lambda frame: pl.concat([frame[: frame.height // 2 + 1], frame[frame.height // 2 :]]),
    "first dropped": lambda frame: frame[1:],
}


@pytest.mark.parametrize("edit", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("name", FRAMES)
def test_a_row_too_few_or_too_many_is_named(
    cache: Path, kept: Path, name: str, edit: Callable[[pl.DataFrame], pl.DataFrame]
) -> None:
    change(kept, name, edit)
    report = audit(str(kept), cache)
    assert [each["what"] for each in report["violations"] if each["check"] == "files"] == [f"{name}.parquet"]


@pytest.mark.parametrize("name", ["marks", "detail_marks"])
@pytest.mark.parametrize("edit", ROWS.values(), ids=ROWS)
def test_mark_prices_are_held_to_the_market_data(
    cache: Path, kept: Path, tmp_path: Path, name: str, edit: Callable[[pl.DataFrame], pl.DataFrame]
) -> None:
    change(kept, name, edit)
    what = "finer mark price" if name == "detail_marks" else "mark price"
    assert what in {each["what"] for each in audit(str(kept), cache)["violations"] if each["check"] == "margin"}
    words = audit(str(kept), tmp_path / "elsewhere")["unchecked"]
    assert any(f"the {what}s that decided" in each for each in words)


def test_finer_klines_are_held_to_the_market_data(cache: Path, kept: Path, tmp_path: Path) -> None:
    change(kept, "detail", at_row(7, "volume", lambda volume: volume + 1))
    summary = json.loads((kept / "summary.json").read_text())
    fine = load_run(kept, cache).detail
    assert fine is not None
    summary["ambiguity"]["detail"]["fingerprint"] = fingerprint(fine, {})
    (kept / "summary.json").write_text(json.dumps(summary))
    (wrong,) = beside_files(audit(str(kept), cache))
    assert (wrong["check"], wrong["what"]) == ("klines", "finer kline")
    assert wrong["time"] == f"{fine.frame['open_time'][7]:%Y-%m-%dT%H:%M:%SZ}"
    assert (
        "the finer klines against the market data: the cache does not have them"
        in audit(str(kept), tmp_path / "elsewhere")["unchecked"]
    )


def test_without_checksums_the_audit_says_what_it_cannot_know(cache: Path, kept: Path) -> None:
    (kept / "SHA256SUMS").unlink()
    change(kept, "plots", ROWS["dropped"])
    report = audit(str(kept), cache)
    assert [each["what"] for each in report["violations"]] == ["plots"]
    (words,) = report["unchecked"]
    assert "SHA256SUMS" in words
    assert "plots" in words


def test_a_missing_file_and_a_damaged_list_are_named(cache: Path, kept: Path) -> None:
    (kept / "plots.parquet").unlink()
    (wrong,) = audit(str(kept), cache)["violations"]
    assert (wrong["what"], wrong["found"]) == ("plots.parquet", "no file")
    (kept / "SHA256SUMS").write_text("nonsense\n")
    wrong = audit(str(kept), cache)["violations"]
    assert {each["check"] for each in wrong} == {"files"}
    assert (wrong[0]["what"], wrong[0]["found"]) == ("nonsense", "no file")


LOST = {"settlements": "funding", "orders": "orders", "marks": "margin", "detail_marks": "margin", "detail": "klines"}
"""Files that only older folders or other runs lack, and what is held to each."""


@pytest.mark.parametrize(("name", "where"), LOST.items(), ids=LOST)
def test_a_file_that_its_report_proves_to_have_been_there_is_missed(
    cache: Path, kept: Path, name: str, where: str
) -> None:
    file = f"{name}.parquet"
    (kept / file).unlink()
    lines = (kept / "SHA256SUMS").read_text().splitlines(keepends=True)
    (kept / "SHA256SUMS").write_text("".join(line for line in lines if line.split()[1] != file))
    report = audit(str(kept), cache)
    wrong = [each for each in report["violations"] if each["check"] == where]
    if name == "detail":
        assert wrong[0]["what"] == "finer klines"
    else:
        assert (wrong[0]["what"], wrong[0]["expected"], wrong[0]["found"]) == (file, "kept with the run", "no file")
    assert not any("earlier version" in words for words in report["unchecked"])


def test_an_emptied_list_of_checksums_hides_nothing(cache: Path, kept: Path) -> None:
    written = {path.name for path in kept.iterdir()} - {"SHA256SUMS"}
    (kept / "SHA256SUMS").write_text("")
    told = [each for each in audit(str(kept), cache)["violations"] if each["check"] == "files"]
    assert {each["what"] for each in told} == written
    assert {(each["expected"], each["found"]) for each in told} == {("a checksum", "not listed")}


def test_every_file_taken_out_of_the_list_is_named(cache: Path, kept: Path) -> None:
    lines = (kept / "SHA256SUMS").read_text().splitlines(keepends=True)
    for at, line in enumerate(lines):
        (kept / "SHA256SUMS").write_text("".join(lines[:at] + lines[at + 1 :]))
        assert [each["what"] for each in audit(str(kept), cache)["violations"]] == [line.split()[1]]


def test_what_came_to_the_folder_after_the_run_is_not_asked_for(cache: Path, kept: Path) -> None:
    for name in ("notes.json", "chart.png", "page.html", ".DS_Store"):
        (kept / name).write_text("{}")
    assert audit(str(kept), cache)["sound"]


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of each value; of a list the first two."""
    if isinstance(value, dict):
        for name, part in cast("dict[str, Any]", value).items():
            yield from leaves(part, (*path, name))
    elif isinstance(value, list):
        for at, part in enumerate(cast("list[Any]", value)[:2]):
            yield from leaves(part, (*path, at))
    else:
        yield path


def test_every_changed_value_of_the_summary_is_named_or_held_by_the_checksums_alone(cache: Path, kept: Path) -> None:
    run = load_run(kept, cache)
    published, text = read_published(run, cache), (kept / "summary.json").read_text()
    unnamed: set[str] = set()
    for path in leaves(run.summary):
        summary: Any = json.loads(text)
        part: Any = summary
        for name in path[:-1]:
            part = part[name]
        part[path[-1]] = other(part[path[-1]])
        try:
            found = audit_run(replace(run, path=None, summary=summary), published)["violations"]
        except (KeyError, TypeError, ValueError, ArithmeticError):
            continue  # `audit` tells of a damaged folder
        unnamed |= set() if found else {".".join(map(str, path))}
    assert [name for name in sorted(unnamed) if not name.startswith(tuple(ALONE_SUMMARY.split()))] == []


@pytest.mark.parametrize("name", ["config.toml", "specs.json", "summary.json"])
def test_a_changed_text_file_is_named(cache: Path, kept: Path, name: str) -> None:
    text = (kept / name).read_text()
    (kept / name).write_text(text.replace("demo", "demo ") if name == "specs.json" else text + "\n")
    wrong = [each["what"] for each in audit(str(kept), cache)["violations"] if each["check"] == "files"]
    assert wrong == [name]


@pytest.mark.parametrize(
    ("key", "value", "where"),
    [
        ("account.balance", "9999", "totals"),
        ("account.leverage", "49", "report"),
        ("fees.vip", 1, "fills"),
        ("costs.slippage_bps", "1", "fills"),
        ("sizing.fraction", "0.06", "report"),
        ("strategy.params.period", 6, "report"),
    ],
)
def test_another_configuration_than_the_report_was_made_with_is_named(
    cache: Path, kept: Path, key: str, value: str | int, where: str
) -> None:
    config = load_config(kept / "config.toml", {key: value})
    (kept / "config.toml").write_text(config.to_toml())
    assert where in {each["check"] for each in audit(str(kept), cache)["violations"]}
