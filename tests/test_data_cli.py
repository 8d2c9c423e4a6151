"""`nt-run data …` in this process, against the embedded exchange."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nt_run.__main__ import main
from nt_run.data.snapshots import SnapshotStore
from nt_run.demo import DemoExchange, Fault
from nt_run.formats import whole_percent
from nt_run.model import parse_time

RANGE = ["--start", "2026-05-01", "--end", "2026-05-04"]

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
def filled(data: Run) -> Run:
    assert data("data", "get", "--demo", *RANGE, "--symbol", "BTCUSDT,ethusdt", "--interval", "1m,1h")[0] == 0
    return data


def of(answer: tuple[int, str, str]) -> Any:
    return json.loads(answer[1])


def test_several_symbols_and_intervals_come_at_once(data: Run) -> None:
    fetched = of(data("data", "get", "--demo", *RANGE, "--symbol", "BTCUSDT,ETHUSDT", "--interval", "1m,1h", "--json"))
    assert [(one["symbol"], one["interval"], one["rows"]) for one in fetched["fetched"]] == [
        ("BTCUSDT", "1m", 4320),
        ("BTCUSDT", "1h", 72),
        ("ETHUSDT", "1m", 4320),
        ("ETHUSDT", "1h", 72),
    ]
    assert fetched["fetched"][0]["data"]["sources"] == {"archive_monthly": 1.0}


def test_one_series_that_fails_does_not_stop_the_others(data: Run) -> None:
    hours = ["--interval", "1h", "--demo"]
    code, out, err = data("data", "get", *RANGE, "--symbol", "BTCUSDT,NOPEUSDT,ETHUSDT,BTCUSDT", *hours, "--json")
    told = json.loads(out)
    assert (code, [one["symbol"] for one in told["fetched"]]) == (3, ["BTCUSDT", "ETHUSDT"])
    assert [(one["symbol"], one["interval"], "NOPEUSDT" in one["reason"]) for one in told["failed"]] == [
        ("NOPEUSDT", "1h", True)
    ]
    assert "1 of 3 series failed, the others are done.\nNOPEUSDT 1h: " in err
    code, _, err = data("data", "export", "out", "--symbol", "BTCUSDT,NOPEUSDT", *hours)
    assert (code, "1 of 2 series failed" in err, "NOPEUSDT 1h klines: There are no" in err) == (3, True, True)
    assert data("data", "get", "--symbol", "", *RANGE)[0] == 2
    assert data("data", "get", "--symbol", "BTCUSDT,no-such", *RANGE, *hours)[0] == 2


def test_long_intervals_that_have_no_whole_bar_do_not_stop_the_others(data: Run) -> None:
    code, out, err = data("data", "get", "--demo", "--interval", "1M,1w,1h", "--days", "20", "--json")
    assert (code, err) == (0, "")
    month, week, hour = json.loads(out)["fetched"]
    # It is 2026-07-01 00:00:30: the last whole month is June, which opened more than 20 days before its end.
    assert (month["rows"], week["rows"], hour["rows"]) == (None, 2, 480)
    assert any("No 1M bar opens in" in text for text in month["warnings"])
    spring = ["--start", "2026-06-01", "--end", "2026-07-01"]
    week, day = of(data("data", "get", "--demo", "--interval", "1w,1d", *spring, "--json"))["fetched"]
    # Mondays: 1, 8, 15, 22 and 29 June; the last of them ends on 6 July.
    assert (week["rows"], day["rows"]) == (4, 30)
    assert any("The 1w bar of 2026-06-29 00:00 has not closed yet" in text for text in week["warnings"])
    # Asked for alone, it is an error: what a run needs is not there.
    assert data("data", "get", "--demo", "--interval", "1w", *spring)[0] == 3


def test_a_share_of_a_few_rows_is_not_shown_as_none_or_all() -> None:
    assert [whole_percent(share) for share in (0.0, 0.002, 0.25, 0.998, 1.0)] == [
        "0 %",
        "< 1 %",
        "25 %",
        "> 99 %",
        "100 %",
    ]


def test_coverage_draws_the_months(filled: Run) -> None:
    code, out, err = filled("data", "coverage", "--demo")
    assert (code, err) == (0, "")
    assert "klines BTCUSDT 1m" in out
    assert max(map(len, out.splitlines())) < 100
    months = of(filled("data", "coverage", "--demo", "--symbol", "ETHUSDT", "--interval", "1m", "--json"))["series"]
    assert [(one["kind"], one["months"][0]["state"]) for one in months] == [
        ("fundingRate", "part"),
        ("klines", "complete"),
    ]


def test_verify_ends_with_8_and_repair_mends(filled: Run, tmp_path: Path) -> None:
    assert of(filled("data", "verify", "--demo", "--json"))["sound"] is True
    assert of(filled("data", "verify", "--demo", "--remote", "--json"))["remote"] == 2
    path = next((tmp_path / "data_cache/demo/v1/binance/um/klines/BTCUSDT/1m").glob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-1])
    code, out, err = filled("data", "verify", "--demo")
    assert code == 8
    assert path.name in out
    assert "nt-run data repair" in err
    code, out, _ = filled("data", "repair", "--demo")
    assert code == 0
    assert "fetched 44,640 rows again" in out
    assert filled("data", "verify", "--demo")[0] == 0
    assert "Nothing is wrong" in filled("data", "repair", "--demo")[1]


def test_verify_of_an_empty_cache_calls_nothing_sound(filled: Run) -> None:
    # Only the synthetic market was filled.
    code, out, _ = filled("data", "verify")
    assert code == 0
    assert "nothing in the cache to verify" in out
    assert "--demo" in out
    assert "sound" not in out


def test_prune_lists_and_deletes_only_when_told(filled: Run, tmp_path: Path) -> None:
    folder = tmp_path / "data_cache/demo/v1/binance/um/klines/BTCUSDT/1m"
    (folder / "old.parquet.bad").write_bytes(b"123")
    out = filled("data", "prune", "--demo")[1]
    assert "v1/binance/um/klines/BTCUSDT/1m/old.parquet.bad  3 bytes, set aside" in out
    assert "1 file, 3 bytes could be deleted" in out
    assert of(filled("data", "prune", "--demo", "--delete", "--json"))["freed"] == 3
    assert "Nothing to delete" in filled("data", "prune", "--demo")[1]
    assert "1 file," in filled("data", "prune", "--demo", "--before", "2026-06-01", "--symbol", "BTCUSDT")[1]


@pytest.mark.parametrize(
    ("before", "meant"),
    [
        ("2026-05-31", False),
        ("20260501", False),
        ("20260531", False),
        ("2026-W22-7", False),  # 2026-05-31
        ("2026-05-31T23:59:59Z", False),
        ("2026-06-01T01:00+02:00", False),  # 2026-05-31 23:00 UTC
        ("2026-06-01", True),
        ("20260601", True),
        ("2026-W23", True),  # Monday, 2026-06-01
        ("2026-05-31T23:00-01:00", True),  # 2026-06-01 00:00 UTC
        ("20270101T000000Z", True),
    ],
)
def test_only_months_that_ended_before_a_time_of_any_form_could_go(filled: Run, before: str, meant: bool) -> None:
    found = of(
        filled("data", "prune", "--demo", "--symbol", "BTCUSDT", "--interval", "1m", "--before", before, "--json")
    )
    assert [Path(one["path"]).name[:7] for one in found["files"]] == (["2026-05"] if meant else [])


@pytest.mark.parametrize("form", ["csv", "parquet", "archive"])
def test_export_writes_the_range(filled: Run, tmp_path: Path, form: str) -> None:
    (written,) = of(filled("data", "export", "out", "--demo", *RANGE, "--format", form, "--json"))["exported"]
    assert written["rows"] == 4320
    assert all((tmp_path / name).stat().st_size for name in written["files"])


def test_a_file_of_a_day_is_exported_only_if_all_of_the_day_was_asked_for(filled: Run, tmp_path: Path) -> None:
    cut = ["--start", "2026-05-02T06:00", "--end", "2026-05-03T12:00"]
    code, _, err = filled("data", "export", "out", "--demo", *cut, "--format", "archive")
    assert (code, "Give --start 2026-05-02 --end 2026-05-04" in err.replace("\n", " ")) == (3, True)
    assert not (tmp_path / "out").exists()
    (written,) = of(filled("data", "export", "out", "--demo", *cut, "--json"))["exported"]
    assert written["rows"] == 30 * 60
    assert [Path(name).name for name in written["files"]] == ["BTCUSDT-1m-2026-05-02T0600-2026-05-03T1200.csv"]


def test_without_a_range_the_archives_form_has_the_whole_days_of_what_is_cached(data: Run) -> None:
    # Short enough to come from REST: a file of the archive would bring its whole month.
    cut = ["--start", "2026-05-02T20:00", "--end", "2026-05-04T04:00", "--interval", "5m"]
    assert data("data", "get", "--demo", *cut)[0] == 0
    form = ["--interval", "5m", "--format", "archive"]
    code, out, err = data("data", "export", "out", "--demo", *form, "--json")
    (written,) = json.loads(out)["exported"]
    # 20:00 to 04:00 of two days later are 32 h, 24 of them the whole day: 8 × 12 bars less.
    assert (code, "klines BTCUSDT 5m: 96 rows of the cache are not in the files" in err) == (0, True)
    assert [Path(name).name for name in written["files"]] == ["BTCUSDT-5m-2026-05-03.csv"]
    assert written["rows"] == 288


def test_a_symbol_that_nobody_knows_leaves_no_trace(data: Run, tmp_path: Path) -> None:
    code, _, err = data("data", "get", "--demo", *RANGE, "--symbol", "BTCSUDT")
    assert (code, "BTCSUDT" in err) == (3, True)
    assert not [path for path in tmp_path.rglob("*") if "BTCSUDT" in path.name]


def test_a_certificate_is_derived_again_and_compared(data: Run, tmp_path: Path) -> None:
    assert data("backtest", "--demo", *RANGE)[0] == 0
    assert of(data("data", "certificate", "--json"))["same"] is True
    (summary,) = tmp_path.glob("data_cache/runs/*/summary.json")
    summary.write_text(summary.read_text().replace('"fingerprint":"', '"fingerprint":"0'))
    summary.write_text(summary.read_text().replace('"fingerprint": "', '"fingerprint": "0'))
    code, out, err = data("data", "certificate")
    assert code == 8
    assert "fingerprint was 0" in out.replace("\n", " ")
    assert "differ in fingerprint" in err


def test_the_same_rows_from_another_source_are_noted_and_no_difference(data: Run, tmp_path: Path) -> None:
    assert data("backtest", "--demo", *RANGE)[0] == 0
    (summary,) = tmp_path.glob("data_cache/runs/*/summary.json")
    summary.write_text(summary.read_text().replace('"archive_monthly"', '"rest"'))
    code, out, _ = data("data", "certificate")
    assert (code, "The same rows came from rest 100.00 %; now they are from archive_monthly 100.00 %." in out) == (
        0,
        True,
    )


def test_a_certificate_knows_the_same_rules_in_an_answer_of_another_name(data: Run, tmp_path: Path) -> None:
    assert data("backtest", "--demo", *RANGE)[0] == 0
    (path,) = tmp_path.glob("data_cache/demo/v1/binance/um/exchangeInfo/2*.json")
    path.write_bytes(path.read_bytes()[:-1])
    answer = json.loads(path.read_bytes() + b"}")
    store = SnapshotStore(tmp_path / "data_cache/demo")
    before = store.all()[0]
    again = store.keep(answer | {"serverTime": 1}, before.fetched_at_ms)
    assert again.file != path.name
    assert of(data("data", "certificate", "--json"))["same"] is True
    answer["symbols"][0]["filters"][0]["tickSize"] = "12.5"
    (store.folder / again.file).unlink()
    other = SnapshotStore(tmp_path / "data_cache/demo").keep(answer, before.fetched_at_ms)
    assert other.file != again.file
    code, out, _ = data("data", "certificate", "--json")
    assert (code, json.loads(out)["differ"]) == (8, ["rules"])


def test_a_certificate_covers_settlements_rules_and_mark_prices(data: Run, tmp_path: Path) -> None:
    # 100 x leverage brings liquidation into reach, so mark prices are used.
    assert data("backtest", "--demo", *RANGE, "--leverage", "100")[0] == 0
    found = of(data("data", "certificate", "--json"))
    assert (found["same"], found["now"]["mark_fingerprint"]) == (True, found["then"]["mark_fingerprint"])
    # 2026-05-01 00:00 is not in (start, end], 2026-05-04 00:00 is: 3 days of 3.
    assert found["now"]["settlements"].startswith("9, sha256 ")
    market = tmp_path / "data_cache/demo/v1/binance/um"
    for pattern, name in (
        ("exchangeInfo/2*.json", "rules"),
        ("markPriceKlines/BTCUSDT/1m/*.parquet", "mark_fingerprint"),
        ("fundingRate/BTCUSDT/*.parquet", "settlements"),
    ):
        (path,) = market.glob(pattern)
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        code, out, _ = data("data", "certificate", "--json")
        assert (code, json.loads(out)["differ"]) == (8, [name])
        path.write_bytes(whole)
    (path,) = market.glob("klines/BTCUSDT/1m/*.parquet")
    path.write_bytes(path.read_bytes()[:-1])
    code, _, err = data("data", "certificate")
    assert code == 3
    assert "--offline" not in err
    assert "nt-run data repair" in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("data", "repair", "--demo", "--prefer", "spot"), 2, "archive, rest or import"),
        (("data", "export", "out", "--demo", "--format", "feather"), 2, "--format must be one of"),
        (("data", "export", "out", "--demo"), 3, "no 1m klines of BTCUSDT in the cache"),
        (("data", "verify", "--demo", "--interval", "7m"), 2, "7m"),
        (("data", "prune", "--demo", "--before", "soon"), 2, "not a time"),
        (("data", "certificate"), 6, "run"),
    ],
)
def test_bad_input_ends_with_its_code(data: Run, arguments: tuple[str, ...], code: int, words: str) -> None:
    got, out, err = data(*arguments)
    assert (got, out) == (code, "")
    assert words in err


def test_settlements_that_no_source_has_stop_a_run_or_are_listed(data: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = parse_time("2026-05-02T08:00")

    def lose(rows: list[Any]) -> list[Any]:
        return [one for one in rows if abs(one["fundingTime"] - lost) > 60_000]

    with DemoExchange([Fault("/fundingRate?", "rows", times=None, edit=lose)]) as exchange:
        monkeypatch.setenv("NT_RUN_REST_URL", exchange.rest_url)
        code, out, err = data("backtest", *RANGE, "--quiet")
        assert (code, out, "the settlement between 2026-05-02 00:00 and 2026-05-02 16:00" in err) == (3, "", True)
        # 8 of 9 are 0.888…
        run = of(data("backtest", *RANGE, "--min-completeness", "0.88", "--json"))
        _, out, _ = data("runs", "show")
        found = of(data("data", "certificate", "--json"))
        _, listed, _ = data("data", "certificate")
        audited = data("audit")[0]
    gap = {
        "start": "2026-05-02T00:00:00Z",
        "end": "2026-05-02T16:00:00Z",
        "count": 1,
        "status": "confirmed_absent",
    }
    assert (run["data"]["missing_settlements"], run["data"]["completeness"]) == ([gap], 1.0)
    row = next(line.split() for line in out.splitlines() if "settlements" in line)
    assert row[1:5] == ["settlements", "8", "of", "9"]
    assert (found["same"], found["now"]["missing_settlements"], audited) == (True, [gap], 0)
    assert "1 settlement 2026-05-02T00:00:00Z" in listed


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("--symbol", "BTCUSTD"), "The cache has nothing of BTCUSTD. Did you mean BTCUSDT? nt-run data list"),
        (("--symbol", "BTCUSDT,XRPUSDT"), "The cache has nothing of XRPUSDT."),
        (("--symbol", "BTCUSDT", "--interval", "1h,5m"), "The cache has nothing of BTCUSDT in 5m."),
    ],
)
def test_what_matches_nothing_in_the_cache_is_said_to(filled: Run, asked: tuple[str, ...], words: str) -> None:
    for command in ("list", "coverage", "verify", "repair", "prune", "check"):
        code, out, err = filled("data", command, "--demo", *asked, *(["--offline"] if command == "check" else []))
        assert (command, code, out, words in " ".join(err.split())) == (command, 3, "", True)


def test_the_list_can_be_one_of_some_symbols_and_intervals(filled: Run) -> None:
    found = of(filled("data", "list", "--demo", "--symbol", "ethusdt", "--interval", "1h", "--json"))["series"]
    assert [(one["kind"], one["interval"]) for one in found] == [("fundingRate", ""), ("klines", "1h")]


def test_several_series_of_all_kinds_are_exported_at_once_under_names_of_their_own(data: Run, tmp_path: Path) -> None:
    several = ["--symbol", "BTCUSDT,ETHUSDT", "--interval", "1h,4h", "--kind", "klines,mark,funding", "--demo"]
    assert data("data", "get", *RANGE, *several)[0] == 0
    written = of(data("data", "export", "out", *RANGE, *several, "--json"))
    assert written["failed"] == []
    # Three days: 72 hours, 18 bars of four hours, 9 settlements; two symbols of each.
    kinds = [("klines", 72), ("klines", 18), ("mark", 72), ("mark", 18), ("funding", 9)]
    assert sorted((one["kind"], one["rows"]) for one in written["exported"]) == sorted([*kinds, *kinds])
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert len(files) == len(written["exported"])
    span = "2026-05-01-2026-05-03.csv"
    assert {f"BTCUSDT-1h-{span}", f"BTCUSDT-1h-markPriceKlines-{span}", f"ETHUSDT-fundingRate-{span}"} < files
    rates = (tmp_path / "out" / f"BTCUSDT-fundingRate-{span}").read_text().splitlines()
    assert rates[0] == "funding_time,slot,funding_rate,mark_price"
    assert rates[1].split(",")[1] == "2026-05-01T00:00:00.000Z"
    code, out, err = data("data", "export", "out", *RANGE, *several, "--format", "archive", "--json")
    assert (code, len(json.loads(out)["exported"]), "funding_interval_hours" in err) == (3, 8, True)
    assert (tmp_path / "out/markPriceKlines/BTCUSDT-1h-2026-05-01.csv").exists()


def test_an_export_takes_the_last_days_and_says_what_it_leaves_out(data: Run) -> None:
    for start, end in (("2026-05-01", "2026-05-02"), ("2026-05-03", "2026-05-06")):
        assert data("data", "get", "--demo", "--interval", "1h", "--start", start, "--end", end)[0] == 0
    hours = ["--demo", "--interval", "1h", "--kind", "klines,funding"]
    code, out, err = data("data", "export", "out", *hours, "--days", "2", "--json")
    assert [one["rows"] for one in json.loads(out)["exported"]] == [48, 6]
    assert (code, err) == (0, "")


def test_nothing_is_overwritten_without_being_asked_for(filled: Run, tmp_path: Path) -> None:
    assert filled("data", "export", "out", "--demo", *RANGE)[0] == 0
    (file,) = (tmp_path / "out").iterdir()
    whole = file.read_bytes()
    assert filled("data", "export", "out", "--demo", *RANGE)[0] == 0
    file.write_text("mine")
    code, _, err = filled("data", "export", "out", "--demo", *RANGE)
    assert (code, "is there already and holds something else" in err, file.read_text()) == (3, True, "mine")
    assert filled("data", "export", "out", "--demo", *RANGE, "--overwrite")[0] == 0
    assert file.read_bytes() == whole


def test_an_export_over_a_hole_says_what_it_lacks(data: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    start = parse_time("2026-05-02T10:00")

    def lose(rows: list[Any]) -> list[Any]:
        return [one for one in rows if not start <= one[0] < start + 7 * 60_000]

    with DemoExchange([Fault("/klines?", "rows", times=None, edit=lose)]) as exchange:
        monkeypatch.setenv("NT_RUN_REST_URL", exchange.rest_url)
        assert data("data", "get", *RANGE, "--kind", "klines", "--min-completeness", "0.9")[0] == 0
        code, out, err = data("data", "export", "out", *RANGE)
        (written,) = of(data("data", "export", "out", *RANGE, "--json"))["exported"]
    # 3 days have 4,320 minutes.
    place = "2026-05-02 10:00 → 2026-05-02 10:07 (no source has it)"
    assert (code, err) == (0, f"! klines BTCUSDT 1m: 7 bars of 4,320 are not in the files: {place}\n")
    assert "4,313 rows" in out
    hole = {"start": "2026-05-02T10:00:00Z", "end": "2026-05-02T10:07:00Z", "bars": 7, "status": "confirmed_absent"}
    assert (written["rows"], written["holes"]) == (4313, [hole])


def test_an_export_names_the_way_out_that_fits(filled: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for target in ("/dev/null", "file"):
        code, _, err = filled("data", "export", target, "--demo", *RANGE)
        told = " ".join(err.split())
        assert (code, "is not a folder. Give data export another folder" in told) == (3, True)
    assert (tmp_path / "file").read_text() == "mine"
    code, _, err = filled("data", "export", "out", "--demo", "--start", "2026-04-01", "--end", "2026-04-02")
    get = (
        "nt-run data get --demo --symbol BTCUSDT --interval 1m --start 2026-04-01T00:00:00Z --end 2026-04-02T00:00:00Z"
    )
    assert (code, "ffline" in err, get in " ".join(err.split())) == (3, False, True)
    code, _, err = filled("data", "export", "out", "--demo", "--kind", "mark")
    get = "nt-run data get --demo --symbol BTCUSDT --interval 1m --kind mark"
    assert (code, get in " ".join(err.split())) == (3, True)
    next(tmp_path.glob("data_cache/demo/v1/binance/um/klines/BTCUSDT/1m/2026-05*.parquet")).write_bytes(b"")
    code, _, err = filled("data", "export", "out", "--demo", *RANGE)
    assert (code, "nt-run data repair fetches it again" in " ".join(err.split())) == (3, True)


def test_a_path_stays_whole_in_a_pipe(data: Run, tmp_path: Path) -> None:
    long = "cache-" + "x" * 120
    get = ("data", "get", "--demo", *RANGE, "--cache-dir", long)
    assert data(*get)[0] == 0
    (path,) = tmp_path.glob(f"{long}/demo/v1/binance/um/klines/BTCUSDT/1m/*.parquet")
    path.with_name("old.parquet").write_bytes(b"12345")
    _, out, _ = data("data", "prune", "--demo", "--cache-dir", long)
    lines = out.splitlines()
    assert "v1/binance/um/klines/BTCUSDT/1m/old.parquet  5 bytes, replaced" in lines
    assert f"below {long}/demo" in lines


def test_the_settlement_at_the_start_of_a_range_is_of_it_and_the_one_at_its_end_is_there_for_a_run(data: Run) -> None:
    hour = ["--start", "2026-05-01", "--end", "2026-05-01T01:00"]
    assert of(data("data", "get", "--demo", *hour, "--json"))["fetched"][0]["funding_rates"] == 1
    # Of 00:00, 08:00, 16:00 the last one is not in [start, end), but in the (start, end] of a run.
    day = ["--start", "2026-05-01", "--end", "2026-05-01T16:00"]
    assert of(data("data", "get", "--demo", *day, "--json"))["fetched"][0]["funding_rates"] == 2
    run = of(data("backtest", "--demo", "--offline", *day, "--json"))
    assert run["funding"]["settlements"] == 2


def test_ctrl_c_in_a_download_ends_with_130_and_the_next_one_goes_on(tmp_path: Path) -> None:
    spring = ["--start", "2026-03-01", "--end", "2026-06-01", "--kind", "klines", "--cache-dir", str(tmp_path)]
    with DemoExchange(weight_limit=1_000_000) as exchange:
        command = [sys.executable, "-m", "nt_run", "data", "get", *spring]
        # 92 days of minutes are 132,480 rows: 266 pages of 499.
        where = os.environ | {"NT_RUN_REST_URL": exchange.rest_url}
        process = subprocess.Popen(command, env=where, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(1200):
            if len(exchange.requests) > 100:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, "what was downloaded is kept" in err) == (130, "", True)
        first = len(exchange.requests)
        done = subprocess.run([*command, "--json"], env=where, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["fetched"][0]["rows"] == 132_480
    # One page may be on its way when the signal comes; specs, time and the first kline are asked for in both.
    assert len(exchange.requests) < 266 + 20
    assert first > 100


CLOSES_SLOWLY = """
import time
from nt_run import __main__ as boundary

class Connection:
    def __del__(self):
        print("closing", flush=True)
        time.sleep(60)

def download():
    held = Connection()
    print("working", flush=True)
    time.sleep(60)

boundary._command = download
boundary.run()
"""


def test_a_second_ctrl_c_while_things_are_closed_ends_at_once_with_one_line() -> None:
    command = [sys.executable, "-c", CLOSES_SLOWLY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for expected in ("working", "closing"):
            assert process.stdout.readline().strip() == expected
            process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "nt-run: interrupted at once; what was downloaded is kept.\n")
