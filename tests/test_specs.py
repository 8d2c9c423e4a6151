import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from conftest import symbol_entry
from nt_run.errors import DataError, NotTradableError, UnknownSymbolError
from nt_run.model import TimeRange, parse_time
from nt_run.specs import VIP_FEES, InstrumentSpecs, decimals, parse_specs, parse_symbol_specs


def parse(entry: dict[str, Any]) -> InstrumentSpecs:
    return parse_specs({"symbols": [entry]}, "BTCUSDT", as_of_ms=0, source="test")


def without(name: str) -> list[dict[str, Any]]:
    return [item for item in symbol_entry()["filters"] if item["filterType"] != name]


def test_precision_comes_from_tick_and_step_not_from_the_precision_fields() -> None:
    specs = parse(symbol_entry(pricePrecision=2, quantityPrecision=8))
    assert (specs.price_precision, specs.size_precision) == (1, 3)


def test_the_old_hand_written_values_are_all_wrong() -> None:
    specs = parse(symbol_entry())
    ours = (specs.price_precision, specs.size_precision, specs.tick_size, specs.step_size)
    theirs = (5, 0, Decimal("0.00001"), Decimal(1))
    assert all(a != b for a, b in zip(ours, theirs, strict=True))
    assert (specs.min_quantity, specs.min_notional) == (Decimal("0.001"), Decimal(50))


@pytest.mark.parametrize(("text", "expected"), [("0.10", 1), ("1", 0), ("100", 0), ("0.00001", 5), ("5E-7", 7)])
def test_decimals_ignore_trailing_zeros(text: str, expected: int) -> None:
    assert decimals(Decimal(text)) == expected


def test_unknown_filters_are_ignored_and_optional_ones_may_be_missing() -> None:
    filters = [*without("PERCENT_PRICE"), {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"}]
    specs = parse(symbol_entry(filters=[item for item in filters if item["filterType"] != "MAX_NUM_ORDERS"]))
    assert specs.price_multiplier_up is None
    assert specs.max_orders is None


def test_market_lot_size_falls_back_to_lot_size() -> None:
    assert parse(symbol_entry(filters=without("MARKET_LOT_SIZE"))).market_max_quantity == Decimal(1000)


@pytest.mark.parametrize("name", ["PRICE_FILTER", "LOT_SIZE", "MIN_NOTIONAL"])
def test_a_missing_rule_is_an_error_and_never_assumed(name: str) -> None:
    # LOT_SIZE also feeds MARKET_LOT_SIZE, which must not feed it back.
    with pytest.raises(DataError, match=name):
        parse(symbol_entry(filters=without(name)))


@pytest.mark.parametrize("tick", ["0", "-0.1", "abc", None, "NaN"])
def test_a_rule_that_is_not_a_positive_number_is_an_error(tick: str | None) -> None:
    filters = [*without("PRICE_FILTER"), {"filterType": "PRICE_FILTER", "tickSize": tick}]
    with pytest.raises(DataError, match="tickSize"):
        parse(symbol_entry(filters=filters))


LISTED = ("BTCUSDT", "BTCUSDC", "BTCDOMUSDT", "ETHUSDT", "1000PEPEUSDT", "BCHUSDT", "LTCUSDT", "CTSIUSDT", "XRPUSDT")


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [
        ("BTCUSD", ("BTCUSDT",)),
        ("BTC", ("BTCUSDT",)),
        ("PEPEUSDT", ("1000PEPEUSDT",)),
        ("ETHUSTD", ("ETHUSDT",)),
        ("NONSENSE", ()),
    ],
)
def test_an_unknown_symbol_names_the_nearest_ones_and_no_noise(asked: str, nearest: tuple[str, ...]) -> None:
    answer = {"symbols": [symbol_entry(symbol=name) for name in LISTED]}
    with pytest.raises(UnknownSymbolError) as caught:
        parse_specs(answer, asked, as_of_ms=0, source="test")
    assert caught.value.nearest == nearest


def test_a_contract_of_the_past_will_do_for_a_range_in_which_it_traded() -> None:
    # WAVESUSDT traded until 2024-06-11 09:00; the answer still lists it, as SETTLING.
    ended = parse_time("2024-06-11T09:00")
    answer = {"symbols": [symbol_entry(status="SETTLING", deliveryDate=ended)]}

    def parse_for(traded: TimeRange | None) -> InstrumentSpecs:
        return parse_specs(answer, "BTCUSDT", as_of_ms=0, source="test", traded=traded)

    assert parse_for(TimeRange(ended - 1000, ended)).status == "SETTLING"
    for too_late in (None, TimeRange(ended - 1000, ended + 1), TimeRange(parse_time("2019-01-01"), ended)):
        with pytest.raises(NotTradableError, match=r"SETTLING, until 2024-06-11 09:00 UTC.*--specs-at range"):
            parse_for(too_late)


def test_a_delivery_contract_is_refused() -> None:
    with pytest.raises(NotTradableError, match="CURRENT_QUARTER"):
        parse(symbol_entry(contractType="CURRENT_QUARTER"))


def test_a_contract_that_does_not_trade_is_refused() -> None:
    with pytest.raises(NotTradableError, match="SETTLING"):
        parse(symbol_entry(status="SETTLING"))


@pytest.mark.parametrize("answer", [{}, {"symbols": []}])
def test_an_answer_without_symbols_is_an_error(answer: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="lists no symbols"):
        parse_specs(answer, "BTCUSDT", as_of_ms=0, source="test")


def test_vip_fees_never_rise_with_the_level() -> None:
    assert VIP_FEES[0] == (Decimal("0.0002"), Decimal("0.0005"))
    assert VIP_FEES[9] == (Decimal(0), Decimal("0.00017"))
    assert list(VIP_FEES) == sorted(VIP_FEES, reverse=True)


@pytest.mark.parametrize(
    ("date", "perpetuals", "tick", "min_notional"),
    [
        ("2021-09-06", 130, "0.01", "5"),
        ("2022-05-04", 152, "0.10", "5"),
        ("2024-10-20", 342, "0.10", "100"),
        ("2025-10-30", 621, "0.10", "100"),
    ],
)
def test_all_perpetuals_of_a_recorded_date_parse(
    recordings: Path, date: str, perpetuals: int, tick: str, min_notional: str
) -> None:
    answer = json.loads((recordings / "exchange_info" / f"{date}.json").read_text())
    entries = [entry for entry in answer["symbols"] if entry["contractType"] == "PERPETUAL"]
    parsed = {entry["symbol"]: parse_symbol_specs(entry, as_of_ms=0, source=date) for entry in entries}
    assert len(parsed) == perpetuals
    assert parsed["BTCUSDT"].tick_size == Decimal(tick)
    assert parsed["BTCUSDT"].min_notional == Decimal(min_notional)
