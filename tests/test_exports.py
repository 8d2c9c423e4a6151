import datetime as dt
import json
import zipfile
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from nt_run import exports, results
from nt_run.config import load_config
from nt_run.errors import ResultsError, UsageError
from nt_run.exports import export_run
from nt_run.pipeline import backtest
from nt_run.results import Run

FRAMES = [*results.FRAMES, *(name for name in results.LATER_FRAMES if name != "plots"), "klines"]
"""This run's strategy publishes nothing."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    day = {"demo": True, "start": "2026-06-01", "end": "2026-06-02"}
    return backtest(load_config(None, day), cache_dir=tmp_path_factory.mktemp("cache"), save=False)


def test_csv_and_parquet_have_a_file_for_each_frame_and_what_the_run_was(run: Run, tmp_path: Path) -> None:
    for form in ("csv", "parquet"):
        files, remarks = export_run(run, form, tmp_path / form)
        assert sorted(path.name for path in files) == sorted(
            [*(f"{name}.{form}" for name in FRAMES), "config.toml", "summary.json"]
        )
        assert {path.parent for path in files} == {tmp_path / form / run.run_id}
        assert remarks == []
        assert load_config(tmp_path / form / run.run_id / "config.toml") == run.config


def test_parquet_is_exact_and_bars_have_the_decimals_of_the_exchange(run: Run, tmp_path: Path) -> None:
    export_run(run, "parquet", tmp_path)
    for name in ("fills", "trades", "funding", "equity", "settlements"):
        assert pl.read_parquet(tmp_path / run.run_id / f"{name}.parquet").equals(getattr(run, name))
    klines = pl.read_parquet(tmp_path / run.run_id / "klines.parquet")
    for name in ("open", "low", "volume", "quote_volume", "taker_buy_volume"):
        scale = 10 ** run.klines.exponents.of(name)
        assert [value * scale for value in klines[name]] == run.klines.frame[name].to_list()
    assert klines["trades"].equals(run.klines.frame["trades"])


def test_csv_has_times_in_iso_8601_and_amounts_with_all_their_digits(run: Run, tmp_path: Path) -> None:
    export_run(run, "csv", tmp_path)
    head, first, *_ = (tmp_path / run.run_id / "fills.csv").read_text().splitlines()
    row = dict(zip(head.split(","), first.split(","), strict=True))
    assert dt.datetime.fromisoformat(row["time"]) == run.fills["time"][0]
    assert row["time"].endswith("Z")
    assert Decimal(row["fee"]) == run.fills["fee"][0]


def test_json_is_the_whole_run_in_one_object(run: Run, tmp_path: Path) -> None:
    ((path,), _) = export_run(run, "json", tmp_path)
    whole = json.loads(path.read_text())
    assert path.name == f"{run.run_id}.json"
    assert {"summary", "config", "specs", *FRAMES} == whole.keys()
    assert whole["summary"]["pnl"]["net"] == run.summary["pnl"]["net"]
    assert [len(whole[name]) for name in ("fills", "equity", "klines")] == [run.fills.height, 1440, 1440]
    assert Decimal(whole["fills"][0]["price"]) == run.fills["price"][0]


def test_a_workbook_has_a_sheet_for_each_frame_and_is_the_same_bytes_again(run: Run, tmp_path: Path) -> None:
    ((one,), remarks) = export_run(run, "xlsx", tmp_path / "one")
    ((two,), _) = export_run(run, "xlsx", tmp_path / "two")
    assert one.read_bytes() == two.read_bytes()
    assert remarks == []
    book = zipfile.ZipFile(one)
    sheets = book.read("xl/workbook.xml").decode()
    assert [
        name
        for name in ("summary", "config", "trades", "fills", "funding", "settlements", "equity")
        if f'name="{name}"' not in sheets
    ] == []
    assert "klines" not in sheets
    # 360 pixels, not the width of the longest sentence.
    assert 'max="2" width="51.4' in book.read("xl/worksheets/sheet1.xml").decode()
    # A heading and one row for each trade; the sheets come in the order summary, config, fills, trades.
    assert book.read("xl/worksheets/sheet4.xml").decode().count("<row ") == run.trades.height + 1


def test_a_workbook_of_many_bars_has_a_row_of_equity_for_each_day_and_says_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "EQUITY_ROWS", 1000)
    ((path,), (remark,)) = export_run(run, "xlsx", tmp_path)
    assert "one row for each day, of 1,440 bars; --format csv has them all" in remark
    # The closes of 2026-06-01, the last of them at midnight of the next day.
    assert zipfile.ZipFile(path).read("xl/worksheets/sheet6.xml").decode().count("<row ") == 1 + 2


def test_more_rows_than_a_sheet_holds_are_refused_and_never_cut(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "SHEET_ROWS", 10)
    with pytest.raises(ResultsError, match=r"more than a sheet can hold\. Use --format csv"):
        export_run(run, "xlsx", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_an_earlier_version_is_exported_without_settlements(run: Run, tmp_path: Path) -> None:
    files, _ = export_run(replace(run, settlements=None), "csv", tmp_path)
    assert "settlements.csv" not in {path.name for path in files}


def test_another_format_and_a_folder_that_cannot_be_written_are_clear_errors(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="csv, parquet, json, xlsx, not 'xls'"):
        export_run(run, "xls", tmp_path)
    (tmp_path / "taken").write_text("")
    with pytest.raises(ResultsError, match="could not be exported"):
        export_run(run, "csv", tmp_path / "taken")
