"""`nt-run data import` and `nt-run data check` in this process, against the embedded exchange."""

import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from nt_run.__main__ import main

RANGE = ["--start", "2026-05-01", "--end", "2026-05-04"]
DAY = ["--start", "2026-05-02", "--end", "2026-05-03"]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    for name in ("NT_RUN_REST_URL", "NT_RUN_ARCHIVE_URL", "NT_RUN_ARCHIVE_LIST_URL", "NT_RUN_CACHE"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nt-run", *arguments])
        code = main()
        out, err = capfd.readouterr()
        return code, out, err

    return run


@pytest.fixture
def exported(data: Run, tmp_path: Path) -> pl.DataFrame:
    """Three days of demo minutes as floats; the cache they came from is another one."""
    elsewhere = ["--cache-dir", "elsewhere"]
    assert data("data", "get", "--demo", *RANGE, *elsewhere)[0] == 0
    assert data("data", "export", "out", "--demo", *RANGE, "--format", "parquet", *elsewhere)[0] == 0
    return pl.read_parquet(next((tmp_path / "out").glob("*.parquet")))


def of(answer: tuple[int, str, str]) -> Any:
    assert answer[0] == 0, answer[2]
    return json.loads(answer[1])


def planted(frame: pl.DataFrame, first: int, last: int) -> pl.DataFrame:
    """Rows `first` … `last` - 1 as spot has them: a basis of 4e-4 away, in steps of 0.01, with less volume."""
    at = pl.int_range(pl.len())
    spot = (at >= first) & (at < last)
    prices = [
        pl.when(spot).then((pl.col(name) * 1.0004).round(2) + 0.01).otherwise(pl.col(name)).alias(name)
        for name in ("open", "high", "low", "close")
    ]
    return frame.with_columns(*prices, volume=pl.when(spot).then(pl.lit(0.5)).otherwise("volume")).select(
        "open_time", "open", "high", "low", "close", "volume"
    )


def test_an_imported_file_is_compared_kept_and_shown_in_certificates(
    data: Run, exported: pl.DataFrame, tmp_path: Path
) -> None:
    exported.head(1440).write_parquet(tmp_path / "BTCUSDT-1m.parquet")
    taken = of(data("data", "import", "BTCUSDT-1m.parquet", "--demo", "--json"))
    assert (taken["rows"], taken["added"], taken["unknown_columns"], taken["suspicious"]) == (1440, 1440, [], [])
    assert taken["compared_with"] == ["24 klines of 1h from the exchange"]
    fetched = of(data("data", "get", "--demo", *RANGE, "--json"))
    assert fetched["fetched"][0]["data"]["sources"]["import"] == pytest.approx(1 / 3)
    elsewhere = of(data("data", "get", "--demo", *RANGE, "--json", "--cache-dir", "elsewhere"))
    assert fetched["fetched"][0]["data"]["fingerprint"] == elsewhere["fetched"][0]["data"]["fingerprint"]
    assert of(data("data", "verify", "--demo", "--json"))["sound"] is True
    assert data("data", "verify", "--demo", "--remote")[0] == 0


def test_imported_klines_alone_run_offline_where_no_funding_is_charged(
    data: Run, exported: pl.DataFrame, tmp_path: Path
) -> None:
    assert data("specs", "--demo")[0] == 0
    exported.write_parquet(tmp_path / "BTCUSDT-1m.parquet")
    assert data("data", "import", "BTCUSDT-1m.parquet", "--demo", "--offline")[0] == 0
    code, _, err = data("backtest", "--demo", "--offline", *RANGE)
    assert (code, "does not have BTCUSDT funding rates" in err) == (3, True)
    code, out, _ = data("backtest", "--demo", "--offline", *RANGE, "--no-funding")
    assert (code, "none charged" in out, "Funding was left out (--no-funding)" in out) == (0, True, True)
    assert not list(tmp_path.glob("data_cache/demo/v1/binance/um/fundingRate/*"))
    assert of(data("audit", "--json"))["violations"] == []
    assert of(data("runs", "replay", "--offline", "--json"))["identical"]
    certified = of(data("data", "certificate", "--json"))
    assert (certified["same"], certified["now"]["settlements"]) == (True, None)
    assert "none, for none was charged" in data("data", "certificate")[1]
    assert data("chart", "--html", "run.html")[0] == 0


def test_rows_without_all_columns_run_and_give_way_to_the_exchanges(
    data: Run, exported: pl.DataFrame, tmp_path: Path
) -> None:
    bare = exported.select("open_time", "open", "high", "low", "close", "volume")
    bare.head(2880).write_csv(tmp_path / "BTCUSDT-1m.csv")
    assert of(data("data", "import", "BTCUSDT-1m.csv", "--demo", "--json"))["added"] == 2880
    two = ["--start", "2026-05-01", "--end", "2026-05-03"]
    code, out, _ = data("backtest", "--demo", *two)
    assert code == 0
    assert "import 100 %" in out
    assert "2880 imported bars lack quote volume" in out.replace("\n", " ")
    # The range that is missing comes with the whole month: its rows know more than those of the file.
    fetched = of(data("data", "get", "--demo", "--start", "2026-05-01", "--end", "2026-06-01", "--json"))
    assert fetched["fetched"][0]["data"]["sources"] == {"archive_monthly": 1.0}
    elsewhere = ["--start", "2026-05-01", "--end", "2026-06-01", "--json", "--cache-dir", "elsewhere"]
    assert (
        fetched["fetched"][0]["data"]["fingerprint"]
        == of(data("data", "get", "--demo", *elsewhere))["fetched"][0]["data"]["fingerprint"]
    )


def test_planted_spot_rows_refuse_the_file_and_are_named(data: Run, exported: pl.DataFrame, tmp_path: Path) -> None:
    planted(exported, 2000, 3000).write_parquet(tmp_path / "BTCUSDT-1m.parquet")
    code, out, err = data("data", "import", "BTCUSDT-1m.parquet", "--demo", "--quiet")
    assert (code, out) == (3, "")
    # Rows 2000 … 2999 of 1m from 2026-05-01: 2000 min = 1 d 09:20, 3000 min = 2 d 02:00.
    assert "2026-05-02 09:20 → 2026-05-03 02:00: 1,000 rows differ in price" in err
    assert "--accept-suspicious" in err
    code, out, _ = data("data", "import", "BTCUSDT-1m.parquet", "--demo", "--accept-suspicious", "--json")
    assert json.loads(out)["added"] == 4320
    code, out, err = data("data", "check", "--demo", "--interval", "1m")
    assert code == 8
    assert "1,000 rows" in out
    assert "another market" in err


def test_checking_only_stores_nothing(data: Run, exported: pl.DataFrame, tmp_path: Path) -> None:
    exported.write_parquet(tmp_path / "BTCUSDT-1m.parquet")
    code, out, _ = data("data", "import", "BTCUSDT-1m.parquet", "--demo", "--check-only")
    assert (code, "nothing was stored" in out) == (0, True)
    assert not list(tmp_path.glob("data_cache/demo/v1/binance/um/klines/BTCUSDT/1m/*.parquet"))


@pytest.mark.parametrize("name", ["AVAXUSDT-1m-2026-07", "LINKUSDT-1m-2023-02"])
def test_a_recorded_file_of_the_archive_comes_out_of_export_byte_for_byte(
    data: Run, recordings: Path, tmp_path: Path, name: str
) -> None:
    recorded = recordings / "archive" / f"{name}.csv"
    assert data("data", "import", str(recorded), "--offline", "--accept-suspicious")[0] == 0
    symbol = name.partition("-")[0]
    assert data("data", "export", "out", "--symbol", symbol, "--interval", "1m", "--format", "archive")[0] == 0
    (written,) = (tmp_path / "out").iterdir()
    assert (written.name, written.read_bytes()) == (f"{name}.csv", recorded.read_bytes())


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
def test_how_an_imported_file_was_written_is_kept_for_export(
    data: Run, tmp_path: Path, header: bool, zipped: bool
) -> None:
    elsewhere = ["--cache-dir", "elsewhere"]
    assert data("data", "get", "--demo", *DAY, *elsewhere)[0] == 0
    assert data("data", "export", "before", "--demo", *DAY, "--format", "archive", *elsewhere)[0] == 0
    (made,) = (tmp_path / "before").iterdir()
    names, first, rest = made.read_bytes().split(b"\n", 2)
    # One row in which takers bought nothing, written as it was before 2024.
    row = b",".join([*first.split(b",")[:9], b"0.000", b"0.00000", b"0"])
    text = b"\n".join([names, row, rest] if header else [row, rest])
    made.write_bytes(text)
    if zipped:
        with zipfile.ZipFile(made.with_suffix(".zip"), "w") as archive:
            archive.writestr(made.name, text)
        made = made.with_suffix(".zip")
    assert data("data", "import", str(made), "--demo", "--offline", "--accept-suspicious")[0] == 0
    assert data("data", "export", "after", "--demo", *DAY, "--format", "archive")[0] == 0
    assert (tmp_path / "after" / "BTCUSDT-1m-2026-05-02.csv").read_bytes() == text


def test_a_file_never_overrides_the_exchanges_rows(data: Run, exported: pl.DataFrame, tmp_path: Path) -> None:
    (before,) = of(data("data", "get", "--demo", *RANGE, "--json"))["fetched"]
    planted(exported, 10, 12).write_parquet(tmp_path / "BTCUSDT-1m.parquet")
    code, _, err = data("data", "import", "BTCUSDT-1m.parquet", "--demo", "--quiet")
    assert (code, "2 rows differ in price from those of the cache" in err) == (3, True)
    forced = of(data("data", "import", "BTCUSDT-1m.parquet", "--demo", "--accept-suspicious", "--json"))
    assert forced["added"] == 0
    (after,) = of(data("data", "get", "--demo", *RANGE, "--json"))["fetched"]
    assert after["data"]["fingerprint"] == before["data"]["fingerprint"]
    assert after["data"]["sources"] == before["data"]["sources"]
    assert any("sources disagree on 2 bars; the preferred rows are used" in one for one in after["warnings"])


def test_rows_of_the_exchange_that_come_later_and_differ_are_a_conflict(
    data: Run, exported: pl.DataFrame, tmp_path: Path
) -> None:
    planted(exported, 10, 12).head(1440).write_parquet(tmp_path / "BTCUSDT-1m.parquet")
    assert data("data", "import", "BTCUSDT-1m.parquet", "--demo", "--accept-suspicious")[0] == 0
    code, _, err = data("data", "get", "--demo", "--start", "2026-05-01", "--end", "2026-06-01", "--quiet")
    assert code == 3
    assert "--prefer import" in err
    assert data("data", "repair", "--demo", "--prefer", "archive", "--quiet")[0] == 0
    assert data("data", "get", "--demo", *RANGE)[0] == 0


def test_offline_a_file_is_compared_with_what_is_cached(data: Run, exported: pl.DataFrame, tmp_path: Path) -> None:
    exported.write_parquet(tmp_path / "BTCUSDT-1m.parquet")
    taken = of(data("data", "import", "BTCUSDT-1m.parquet", "--demo", "--offline", "--json"))
    assert (taken["added"], taken["compared_with"]) == (4320, [])
    same = of(data("data", "import", "BTCUSDT-1m.parquet", "--demo", "--offline", "--json"))
    # What was imported before vouches for nothing.
    assert (same["added"], same["compared_with"]) == (0, [])
    assert any("imported before, which proves nothing" in text for text in same["warnings"])
    assert any("compared with nothing" in text for text in taken["warnings"])
    code, out, _ = data("data", "check", "--demo", "--offline")
    assert (code, "there is no other source" in out) == (0, True)


def test_an_empty_cache_has_nothing_to_compare(data: Run) -> None:
    code, out, _ = data("data", "check", "--demo", "--offline")
    assert (code, "no klines in the cache" in out) == (0, True)


def test_a_source_that_covers_a_part_leaves_the_rest_to_mark_prices_and_ticks(
    data: Run, exported: pl.DataFrame, tmp_path: Path
) -> None:
    first_day = ["--start", "2026-05-01", "--end", "2026-05-02"]
    assert data("data", "get", "--demo", *first_day, "--interval", "1h")[0] == 0
    for path in tmp_path.glob("data_cache/demo/v1/binance/um/klines/BTCUSDT/1h/*"):
        path.unlink()
    exported.head(1440).write_parquet(tmp_path / "BTCUSDT-1m.parquet")
    assert data("data", "import", "BTCUSDT-1m.parquet", "--demo", "--offline")[0] == 0
    planted(exported, 2000, 3000).write_parquet(tmp_path / "BTCUSDT-1m.parquet")
    code, _, err = data("data", "import", "BTCUSDT-1m.parquet", "--demo", "--offline", "--quiet")
    assert (code, "2026-05-02 09:20 → 2026-05-03 02:00" in err, "finer steps than the tick size" in err) == (
        3,
        True,
        True,
    )


def test_rows_that_are_partly_unknown_are_not_written_in_the_archives_form(
    data: Run, exported: pl.DataFrame, tmp_path: Path
) -> None:
    exported.select("open_time", "open", "high", "low", "close", "volume").write_csv(tmp_path / "BTCUSDT-1m.csv")
    assert data("data", "import", "BTCUSDT-1m.csv", "--demo")[0] == 0
    code, _, err = data("data", "export", "out2", "--demo", *RANGE, "--format", "archive")
    assert (code, "imported rows lack quote volume" in err) == (3, True)
    assert data("data", "export", "out2", "--demo", *RANGE, "--format", "csv")[0] == 0
    back = of(data("data", "import", str(next((tmp_path / "out2").glob("*.csv"))), "--demo", "--check-only", "--json"))
    assert back["unknown_columns"] == ["quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume"]


def test_a_folder_is_no_file(data: Run, tmp_path: Path) -> None:
    code, _, err = data("data", "import", str(tmp_path), "--demo")
    assert (code, "is a folder" in err) == (3, True)


def test_a_file_of_less_than_an_hour_is_compared_with_the_same_klines(
    data: Run, exported: pl.DataFrame, tmp_path: Path
) -> None:
    planted(exported, 0, 4320)[70:110].write_parquet(tmp_path / "BTCUSDT-1m.parquet")
    code, _, err = data("data", "import", "BTCUSDT-1m.parquet", "--demo", "--quiet")
    assert (code, "differ in price from the 1m klines" in err) == (3, True)


def test_hours_that_a_file_holds_in_part_are_compared_too(data: Run, exported: pl.DataFrame, tmp_path: Path) -> None:
    planted(exported, 30, 50)[30:290].write_parquet(tmp_path / "BTCUSDT-1m.parquet")
    code, _, err = data("data", "import", "BTCUSDT-1m.parquet", "--demo", "--quiet")
    assert (code, "20 rows differ in price from the 1m klines" in err) == (3, True)


def test_spot_rows_from_the_first_row_on_are_found_by_the_tick_size_that_held_then(
    data: Run, exported: pl.DataFrame, tmp_path: Path
) -> None:
    assert data("specs", "--demo")[0] == 0
    planted(exported, 0, 4320).write_parquet(tmp_path / "BTCUSDT-1m.parquet")
    code, _, err = data("data", "import", "BTCUSDT-1m.parquet", "--demo", "--offline", "--quiet")
    assert (code, "4,320 rows move in finer steps than the tick size" in err) == (3, True)


def test_the_tick_size_alone_is_not_said_to_prove_the_contract(
    data: Run, exported: pl.DataFrame, tmp_path: Path
) -> None:
    assert data("specs", "--demo")[0] == 0
    exported.write_parquet(tmp_path / "mine.parquet")
    # No network, no klines, no mark prices: only the rules are there, and these steps are as coarse as theirs.
    taken = of(data("data", "import", "mine.parquet", "--symbol", "BTCUSDT", "--demo", "--offline", "--json"))
    assert taken["compared_with"] == ["the tick size 0.10"]
    assert [text for text in taken["warnings"] if "no one says that these rows are BTCUSDT's own" in text]
    online = of(data("data", "import", "mine.parquet", "--symbol", "BTCUSDT", "--demo", "--json"))
    assert not [text for text in online["warnings"] if "no one says" in text]


def test_without_rules_a_break_in_the_files_own_steps_is_found(
    data: Run, exported: pl.DataFrame, tmp_path: Path
) -> None:
    planted(exported, 2000, 3000).write_parquet(tmp_path / "BTCUSDT-1m.parquet")
    code, _, err = data("data", "import", "BTCUSDT-1m.parquet", "--demo", "--offline", "--quiet")
    assert (code, "finer steps than the tick size 0.1" in err) == (3, True)


def test_a_file_that_contradicts_an_earlier_import_is_told_so(
    data: Run, exported: pl.DataFrame, tmp_path: Path
) -> None:
    exported.with_columns(pl.col("high") + 1000).write_parquet(tmp_path / "BTCUSDT-1m.parquet")
    assert data("data", "import", "BTCUSDT-1m.parquet", "--demo", "--offline")[0] == 0
    exported.write_parquet(tmp_path / "BTCUSDT-1m.parquet")
    code, _, err = data("data", "import", "BTCUSDT-1m.parquet", "--demo", "--offline", "--quiet")
    assert (code, "a file imported before: one of the two is wrong" in err) == (3, True)


@pytest.mark.parametrize("interval", ["1w", "1M"])
def test_weeks_and_months_come_back_from_a_file_and_each_is_compared(data: Run, tmp_path: Path, interval: str) -> None:
    spring = ["--start", "2026-02-01", "--end", "2026-05-01", "--interval", interval]
    elsewhere = ["--cache-dir", "elsewhere"]
    assert data("data", "get", "--demo", *spring, "--kind", "klines", *elsewhere)[0] == 0
    assert data("data", "export", "out", "--demo", *spring, *elsewhere)[0] == 0
    (file,) = (tmp_path / "out").iterdir()
    taken = of(data("data", "import", str(file), "--demo", "--json"))
    # February to April; the Mondays from 2026-02-02 on, of which 2026-04-27 is the 13th.
    bars = {"1M": 3, "1w": 13}[interval]
    assert (taken["interval"], taken["rows"], taken["gaps"]) == (interval, bars, [])
    assert taken["compared_with"] == [f"{bars} klines of {interval} from the exchange"]


def longer(frame: pl.DataFrame, every: str) -> pl.DataFrame:
    """Minutes put together to longer klines."""
    return frame.group_by_dynamic("open_time", every=every).agg(
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("volume").sum(),
    )


@pytest.mark.parametrize(
    ("kept", "file", "bars"),
    # Three days: 72 hours. What is shorter is put together, whichever of the two is the file.
    [
        ("1h", "5m", "72 klines of 1h"),
        ("1d", "5m", "3 klines of 1d"),
        ("5m", "1h", "72 bars of 1h made of klines of 5m"),
    ],
)
def test_offline_a_file_is_compared_with_longer_and_shorter_klines_that_were_imported(
    data: Run, exported: pl.DataFrame, tmp_path: Path, kept: str, file: str, bars: str
) -> None:
    offline = ["--symbol", "BTCUSDT", "--demo", "--offline"]
    longer(exported, kept).write_parquet(tmp_path / f"first-{kept}.parquet")
    assert data("data", "import", f"first-{kept}.parquet", *offline)[0] == 0
    longer(exported, file).write_parquet(tmp_path / f"like-{file}.parquet")
    taken = of(data("data", "import", f"like-{file}.parquet", *offline, "--check-only", "--json"))
    assert (taken["compared_with"], taken["suspicious"]) == ([f"{bars} imported before"], [])
    assert [text for text in taken["warnings"] if "no one says that these rows are BTCUSDT's own" in text]
    longer(planted(exported, 1440, 2880), file).write_parquet(tmp_path / f"other-{file}.parquet")
    code, _, err = data("data", "import", f"other-{file}.parquet", *offline, "--quiet")
    assert (code, f"differ in price from the {kept} klines imported before: one of the two is wrong" in err) == (
        3,
        True,
    )
    # `check` finds it later, too.
    assert data("data", "import", f"other-{file}.parquet", *offline, "--accept-suspicious")[0] == 0
    code, out, _ = data("data", "check", *offline)
    assert (code, "2026-05-02 00:00 → 2026-05-03 00:00" in out) == (8, True)


def test_recorded_spot_rows_are_found_offline_by_hours_that_were_imported(data: Run, recordings: Path) -> None:
    assert data("data", "import", str(recordings / "klines/BTCUSDT-1h-2019-2026.feather"), "--offline")[0] == 0
    suspect = str(recordings / "klines/BTCUSDT-5m-contaminated-with-spot.feather")
    code, _, err = data("data", "import", suspect, "--offline", "--quiet")
    assert (code, "2025-02-18 10:30 → 2025-02-20 10:25: 575 rows differ in price from the 1h klines" in err) == (
        3,
        True,
    )


def test_rows_that_a_file_has_twice_and_rows_that_are_not_new_are_counted(
    data: Run, exported: pl.DataFrame, tmp_path: Path
) -> None:
    pl.concat([exported.head(600), exported.head(60)]).write_parquet(tmp_path / "BTCUSDT-1m.parquet")
    out = data("data", "import", "BTCUSDT-1m.parquet", "--demo")[1]
    assert "600 rows, 60 rows more that the file has twice" in out
    assert "600 rows new in the cache" in out
    assert "no row is new: the cache has them all" in data("data", "import", "BTCUSDT-1m.parquet", "--demo")[1]


def imported_link(data: Run, exported: pl.DataFrame, tmp_path: Path) -> Path:
    """Import a day of a contract the demo exchange does not have; return the folder of its series."""
    exported.head(1440).write_parquet(tmp_path / "LINKUSDT-1m.parquet")
    assert data("data", "import", "LINKUSDT-1m.parquet", "--demo", "--offline")[0] == 0
    return tmp_path / "data_cache/demo/v1/binance/um/klines/LINKUSDT/1m"


@pytest.mark.parametrize("loss", ["truncated", "gone"])
def test_imported_rows_come_back_from_whole_files_when_their_manifest_is_lost(
    data: Run, exported: pl.DataFrame, tmp_path: Path, loss: str
) -> None:
    manifest = imported_link(data, exported, tmp_path) / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:100]) if loss == "truncated" else manifest.unlink()
    code, out, _ = data("data", "repair", "--demo")
    assert (code, "took back 1,440 rows in 1 file" in out) == (0, True)
    assert data("data", "verify", "--demo")[0] == 0
    link = ["--demo", "--offline", "--symbol", "LINKUSDT", "--json"]
    assert of(data("data", "import", "LINKUSDT-1m.parquet", *link))["added"] == 0


def test_a_writer_that_finds_no_manifest_removes_no_whole_file(
    data: Run, exported: pl.DataFrame, tmp_path: Path
) -> None:
    folder = imported_link(data, exported, tmp_path)
    (file,) = folder.glob("*.parquet")
    # Older than an hour, when what no manifest names is swept.
    os.utime(file, (0, 0))
    (folder / "manifest.json").unlink()
    exported[1440:2880].write_parquet(tmp_path / "LINKUSDT-1m.parquet")
    link = ["--symbol", "LINKUSDT", "--demo"]
    code, _, err = data("data", "import", "LINKUSDT-1m.parquet", *link, "--offline")
    assert (code, "nt-run data repair makes it again from what is left" in " ".join(err.split())) == (3, True)
    assert file.exists()
    assert data("data", "repair", *link)[0] == 0
    assert data("data", "import", "LINKUSDT-1m.parquet", *link, "--offline")[0] == 0
    assert data("data", "verify", *link)[0] == 0
    (kept,) = of(data("data", "list", *link, "--json"))["series"]
    assert (kept["rows"], kept["coverage"]) == (2880, 1.0)


def test_repair_says_how_imported_rows_come_back(data: Run, exported: pl.DataFrame, tmp_path: Path) -> None:
    (file,) = imported_link(data, exported, tmp_path).glob("*.parquet")
    file.write_bytes(file.read_bytes()[:-9])
    code, out, _ = data("data", "repair", "--demo")
    words = " ".join(out.split())
    assert (code, "imported from LINKUSDT-1m.parquet: import again what no source has" in words) == (8, True)
    assert "data get fetches it" not in words
    code, out, err = data("data", "verify", "--demo")
    assert (code, "lost 1,440 rows" in " ".join(out.split()), "prune --delete" in err) == (8, True, True)
    assert "imported from LINKUSDT-1m.parquet" in " ".join(data("data", "list", "--demo")[1].split())
    assert "the record of 1 lost file" in data("data", "prune", "--demo", "--delete")[1]
    assert data("data", "verify", "--demo")[0] == 0


def test_a_file_named_spot_needs_a_source_of_the_exchange(data: Run, exported: pl.DataFrame, tmp_path: Path) -> None:
    exported.head(1440).write_parquet(tmp_path / "spot-BTCUSDT-1m.parquet")
    code, _, err = data("data", "import", "spot-BTCUSDT-1m.parquet", "--demo", "--offline")
    assert (code, "1,440 rows are named like spot data" in err) == (3, True)
    # The exchange has the very same rows: the name is wrong, the rows are not.
    assert data("data", "import", "spot-BTCUSDT-1m.parquet", "--demo")[0] == 0
