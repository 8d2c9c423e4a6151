"""Rules of today, of a date and of a range's start, from kept answers and the embedded exchange."""

from collections.abc import Callable
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from conftest import symbol_entry
from nt_run.data.loaded import LoadedSpecs
from nt_run.data.loader import MarketData
from nt_run.data.rules import load_changes, parse_moment
from nt_run.data.snapshots import SnapshotStore
from nt_run.demo import DemoExchange
from nt_run.errors import NoSnapshotError, NotCachedError, NotTradableError, UnknownSymbolError, UsageError
from nt_run.model import TimeRange, format_iso, parse_time
from nt_run.rule_changes import RULES
from nt_run.specs import InstrumentSpecs

Open = Callable[..., MarketData]
CHANGES = load_changes()


def kept(root: Path, day: str, *entries: dict[str, Any]) -> None:
    SnapshotStore(root).keep({"symbols": list(entries)}, parse_time(day))


def btc(tick: str, notional: str, **changes: Any) -> dict[str, Any]:
    values = {"PRICE_FILTER": {"tickSize": tick}, "MIN_NOTIONAL": {"notional": notional}}
    filters = [item | values.get(item["filterType"], {}) for item in symbol_entry()["filters"]]
    return symbol_entry(filters=filters, **changes)


def over(start: str, end: str) -> TimeRange:
    return TimeRange(parse_time(start), parse_time(end))


def rules(loaded: LoadedSpecs) -> tuple[Decimal, Decimal]:
    return loaded.specs.tick_size, loaded.specs.min_notional


@pytest.fixture
def offline(open_data: Open) -> MarketData:
    return open_data(offline=True, changes=CHANGES)


def test_the_shipped_table_is_in_time_order_and_names_rules_and_sources() -> None:
    assert [one.time_ms for one in CHANGES] == sorted(one.time_ms for one in CHANGES)
    assert {one.rule for one in CHANGES} <= set(RULES) <= {field.name for field in fields(InstrumentSpecs)}
    assert all(one.source and one.before != one.after for one in CHANGES)


@pytest.mark.parametrize("day", ["2021-09-06", "2022-05-04", "2024-10-20", "2025-10-30"])
@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT", "WAVESUSDT"])
def test_the_shipped_table_leads_from_the_newest_recording_to_each_older_one(
    recordings: Path, tmp_path: Path, open_data: Open, day: str, symbol: str
) -> None:
    def read(date: str) -> dict[str, Any]:
        return msgspec.json.decode((recordings / "exchange_info" / f"{date}.json").read_bytes())

    then, newest = read(day), read("2025-10-30")
    moment = then["serverTime"]
    SnapshotStore(tmp_path / "then").keep(then, moment)
    SnapshotStore(tmp_path / "newest").keep(newest, newest["serverTime"])
    span = TimeRange(moment, moment + 1)
    if symbol == "WAVESUSDT" and day > "2024-06":
        span = over("2024-06-01", "2024-06-02")  # it was delisted on 2024-06-11
    found, expected = (
        open_data(root=tmp_path / name, offline=True, changes=CHANGES).load_run_specs(symbol, "range", span)
        for name in ("newest", "then")
    )
    assert rules(found) == rules(expected)
    assert found.specs.step_size == expected.specs.step_size


def test_a_day_counts_whole_and_a_time_to_the_millisecond() -> None:
    assert format_iso(parse_moment("2022-05-04")) == "2022-05-04T23:59:59.999Z"
    assert parse_moment("2022-05-04T00:00") == parse_time("2022-05-04")


def test_the_answer_of_a_date_is_the_newest_of_that_day_or_before(tmp_path: Path, offline: MarketData) -> None:
    kept(tmp_path, "2021-09-06T13:13", btc("0.01", "5"))
    kept(tmp_path, "2024-10-20T20:00", btc("0.10", "100"))
    assert rules(offline.load_dated_specs("BTCUSDT", "2024-10-19")) == (Decimal("0.01"), Decimal(5))
    loaded = offline.load_dated_specs("BTCUSDT", "2024-10-20")
    assert rules(loaded) == (Decimal("0.10"), Decimal(100))
    assert (loaded.at, loaded.snapshot[:9]) == ("2024-10-20", "20241020T")
    assert format_iso(loaded.specs.as_of_ms) == "2024-10-20T20:00:00Z"


def test_a_date_before_all_answers_names_those_there_are(tmp_path: Path, offline: MarketData) -> None:
    with pytest.raises(NoSnapshotError, match=r"None is kept at all.\n.*specs import"):
        offline.load_dated_specs("BTCUSDT", "2020-01-01")
    kept(tmp_path, "2021-09-06", btc("0.01", "5"))
    with pytest.raises(NoSnapshotError, match="Kept are those of 2021-09-06 00:00 UTC"):
        offline.load_run_specs("BTCUSDT", "2020-01-01", over("2020-01-01", "2020-01-02"))


def test_the_range_takes_the_answer_in_force_when_it_starts(tmp_path: Path, offline: MarketData) -> None:
    kept(tmp_path, "2022-05-04", btc("0.10", "5"))
    kept(tmp_path, "2022-07-01", btc("0.10", "7"))
    loaded = offline.load_run_specs("BTCUSDT", "range", over("2022-06-01", "2022-06-08"))
    assert (rules(loaded), loaded.changes, loaded.warnings) == ((Decimal("0.10"), Decimal(5)), [], [])


def test_without_an_older_answer_the_range_undoes_what_changed_since(tmp_path: Path, offline: MarketData) -> None:
    kept(tmp_path, "2024-10-20", btc("0.10", "100"))
    loaded = offline.load_run_specs("BTCUSDT", "range", over("2021-03-01", "2021-03-08"))
    assert rules(loaded) == (Decimal("0.01"), Decimal(5))
    assert loaded.changes == [
        "tick size 0.01 until 2022-02-15 04:00 (read off the exchange's klines)",
        "min notional 5 until 2023-11-02 10:00 (Binance announcement on the minimum notional of BTCUSDT and ETHUSDT)",
    ]
    (warning,) = loaded.warnings
    assert warning.startswith(
        "No trading rules from before the range are kept. Those of 2024-10-20 00:00 are used, and"
    )
    assert all(words in warning for words in loaded.changes)


def test_an_older_answer_is_brought_up_to_the_start_of_the_range(tmp_path: Path, offline: MarketData) -> None:
    kept(tmp_path, "2021-09-06", btc("0.01", "5"))
    loaded = offline.load_run_specs("BTCUSDT", "range", over("2024-01-01", "2024-01-08"))
    assert rules(loaded) == (Decimal("0.10"), Decimal(100))
    (warning,) = loaded.warnings
    assert warning.startswith(
        "The trading rules are those of 2021-09-06 00:00, and of what changed since: tick size 0.10"
    )


def test_a_change_inside_the_range_is_a_warning_even_then(tmp_path: Path, offline: MarketData) -> None:
    kept(tmp_path, "2024-10-20", btc("0.10", "100"))
    loaded = offline.load_run_specs("BTCUSDT", "range", over("2023-11-01", "2023-11-08"))
    assert rules(loaded) == (Decimal("0.10"), Decimal(5))
    _, warning = loaded.warnings
    assert "min notional 5, but 100 since 2023-11-02 10:00" in warning
    assert "--specs-at" not in warning


def test_rules_of_a_date_tell_what_changed_since_they_were_kept(tmp_path: Path, offline: MarketData) -> None:
    kept(tmp_path, "2023-10-20", btc("0.10", "5"))
    assert offline.load_dated_specs("BTCUSDT", "2023-10-30").warnings == []
    (warning,) = offline.load_dated_specs("BTCUSDT", "2023-11-05").warnings
    assert "min notional 100 since 2023-11-02 10:00" in warning


def test_what_changed_since_the_answer_of_a_date_is_told_to_machines_too(tmp_path: Path, offline: MarketData) -> None:
    kept(tmp_path, "2021-09-06", btc("0.01", "5"))
    origin = offline.load_dated_specs("BTCUSDT", "2022-03-01").origin()
    (tick,) = [one for one in origin["known_changes"] if one["rule"] == "tick_size"]
    assert (tick["value"], "2022-02-15" in tick["why"], origin["changes"]) == ("0.10", True, [])


def test_where_todays_rules_cannot_be_written_the_newest_kept_ones_stand_in(tmp_path: Path, open_data: Open) -> None:
    kept(tmp_path, "2026-06-01", btc("0.10", "100"))
    lock = tmp_path / "v1/binance/um/exchangeInfo/.lock"
    lock.unlink()
    lock.mkdir()
    with DemoExchange() as exchange:
        data = open_data(exchange.rest_url, clock=lambda: parse_time("2026-07-01") / 1000)
        loaded = data.load_specs("BTCUSDT")
        assert data.keep_rules() == loaded.warnings
    assert loaded.snapshot.startswith("20260601T")
    (warning,) = loaded.warnings
    assert "trading rules could not be kept" in warning
    assert "Those of 2026-06-01 00:00 UTC, 30 days old, are used" in warning


def test_rules_of_a_date_in_the_future_are_refused(tmp_path: Path, open_data: Open) -> None:
    kept(tmp_path, "2023-10-20", btc("0.10", "5"))
    data = open_data(offline=True, clock=lambda: parse_time("2026-01-01") / 1000)
    with pytest.raises(UsageError, match="2026-01-03 lies in the future"):
        data.load_dated_specs("BTCUSDT", "2026-01-03")


@pytest.mark.parametrize("at", ["today", "2024-10-20"])
def test_rules_of_another_time_are_a_warning_that_names_both(tmp_path: Path, offline: MarketData, at: str) -> None:
    kept(tmp_path, "2024-10-20", btc("0.10", "100"))
    loaded = offline.load_run_specs("BTCUSDT", at, over("2021-03-01", "2021-03-08"))
    assert rules(loaded) == (Decimal("0.10"), Decimal(100))
    (warning,) = loaded.warnings
    for expected in ("tick size 0.10, but 0.01 until 2022-02-15", "min notional 100, but 5 until", "--specs-at range"):
        assert expected in warning


def test_rules_of_their_own_time_are_no_warning(tmp_path: Path, offline: MarketData) -> None:
    kept(tmp_path, "2024-10-20", btc("0.10", "100"))
    for at in ("today", "range", "2024-10-20"):
        assert offline.load_run_specs("BTCUSDT", at, over("2024-10-20", "2024-10-27")).warnings == []
    (warning,) = offline.load_run_specs("BTCUSDT", "range", over("2024-10-13", "2024-10-20")).warnings
    assert warning.endswith("and no change since is known.")


def test_a_kept_answer_of_the_range_speaks_against_other_rules_too(tmp_path: Path, offline: MarketData) -> None:
    kept(tmp_path, "2024-12-02", symbol_entry(symbol="XUSDT", filters=btc("0.02", "5")["filters"]))
    kept(tmp_path, "2025-03-01", symbol_entry(symbol="XUSDT", filters=btc("0.10", "5")["filters"]))
    (warning,) = offline.load_run_specs("XUSDT", "today", over("2024-12-01", "2024-12-08")).warnings
    assert "tick size 0.10, but 0.02 in the answer of 2024-12-02 00:00." in warning
    (warning,) = offline.load_run_specs("XUSDT", "today", over("2025-01-01", "2025-01-08")).warnings
    assert "0.02 in the answer of 2024-12-02 00:00, the last one kept before" in warning


def test_what_does_not_trade_any_more_has_rules_for_when_it_did(tmp_path: Path, offline: MarketData) -> None:
    ended = parse_time("2024-06-11T09:00")
    kept(tmp_path, "2024-10-20", btc("0.10", "5", status="SETTLING", deliveryDate=ended))
    for at in ("today", "range", "2024-10-20"):
        with pytest.raises(NotTradableError, match="until 2024-06-11 09:00"):
            offline.load_run_specs("BTCUSDT", at, over("2024-06-10", "2024-06-12"))
    for at in ("range", "2024-10-20"):
        assert offline.load_run_specs("BTCUSDT", at, over("2024-06-01", "2024-06-08")).specs.status == "SETTLING"


def test_the_range_looks_for_an_answer_that_lists_the_contract(tmp_path: Path, offline: MarketData) -> None:
    kept(tmp_path, "2021-09-06", btc("0.01", "5"))
    kept(tmp_path, "2024-10-20", btc("0.10", "100"), symbol_entry(symbol="NEWUSDT"))
    loaded = offline.load_run_specs("NEWUSDT", "range", over("2023-01-01", "2023-01-08"))
    assert loaded.snapshot.startswith("20241020T")
    with pytest.raises(UnknownSymbolError, match=r"(?s)NEWUSDT.*nt-run specs import FILE adds one"):
        offline.load_run_specs("NEWUSD", "range", over("2023-01-01", "2023-01-08"))


def test_without_any_answer_the_range_asks_the_exchange(open_data: Open, tmp_path: Path) -> None:
    span = over("2026-06-01", "2026-06-08")
    with pytest.raises(NotCachedError, match="no exchangeInfo was kept"):
        open_data(offline=True).load_run_specs("BTCUSDT", "range", span)
    with DemoExchange() as exchange:
        loaded = open_data(exchange.rest_url, changes=CHANGES).load_run_specs("BTCUSDT", "range", span)
        asked = len(exchange.requests)
        open_data(exchange.rest_url, changes=CHANGES).load_run_specs("BTCUSDT", "range", span)
        assert len(exchange.requests) == asked, "what is kept is not asked for again"
    assert rules(loaded) == (Decimal("0.10"), Decimal(100))
    assert loaded.changes[0].startswith("min notional 100 until at the latest 2026-06-21")
    assert loaded.specs.source == loaded.snapshot == SnapshotStore(tmp_path).all()[0].file
