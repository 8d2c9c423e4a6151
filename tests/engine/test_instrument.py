import dataclasses
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nt_run.engine.instrument import build_instrument, compare_with_specs, ensure_currency
from nt_run.klines import Exponents, Klines
from nt_run.specs import InstrumentSpecs, parse_symbol_specs


def test_the_built_instrument_has_the_exchanges_six_values(btc: InstrumentSpecs) -> None:
    checks = compare_with_specs(build_instrument(btc), btc)
    assert [(check.name, check.built, check.same) for check in checks] == [
        ("price_precision", 1, True),
        ("size_precision", 3, True),
        ("tick_size", Decimal("0.1"), True),
        ("step_size", Decimal("0.001"), True),
        ("min_quantity", Decimal("0.001"), True),
        ("min_notional", 50, True),
    ]


def test_a_difference_is_seen(btc: InstrumentSpecs) -> None:
    other = dataclasses.replace(btc, min_notional=Decimal(100))
    checks = compare_with_specs(build_instrument(btc), other)
    assert [check.name for check in checks if not check.same] == ["min_notional"]


def test_decimals_and_increment_are_widened_to_old_klines_finer_than_the_tick(
    btc: InstrumentSpecs, make_klines: Callable[..., Klines]
) -> None:
    klines = make_klines([("100.12", "101", "99", "100.05", "1.2345")], exponents=Exponents(2, 4, 0))
    instrument = build_instrument(btc, klines)
    assert (instrument.price_precision, instrument.size_precision) == (2, 4)
    assert instrument.price_increment.as_decimal() == Decimal("0.01")
    assert instrument.size_increment.as_decimal() == Decimal("0.001")
    widened = [check.name for check in compare_with_specs(instrument, btc) if not check.same]
    assert widened == ["price_precision", "size_precision", "tick_size"]


def test_zeros_at_the_end_of_the_sources_text_widen_nothing(
    btc: InstrumentSpecs, make_klines: Callable[..., Klines]
) -> None:
    klines = make_klines([("100.10", "101.00", "99.00", "100.50", "1.2000")], exponents=Exponents(2, 4, 0))
    instrument = build_instrument(btc, klines)
    assert (instrument.price_precision, instrument.size_precision) == (1, 3)


@pytest.mark.parametrize("code", ["BTC", "USDT", "NEWCOIN42", "1000PEPE", "币安人生"])
def test_every_asset_has_a_currency(code: str) -> None:
    assert ensure_currency(code).code == code
    assert ensure_currency(code) == ensure_currency(code)


@pytest.mark.parametrize("date", ["2021-09-06", "2022-05-04", "2024-10-20", "2025-10-30"])
def test_every_recorded_perpetual_can_be_built(date: str, recordings: Path) -> None:
    answer: dict[str, Any] = json.loads((recordings / "exchange_info" / f"{date}.json").read_text())
    perpetuals = [entry for entry in answer["symbols"] if entry["contractType"] == "PERPETUAL"]
    assert len(perpetuals) > 100
    for entry in perpetuals:
        specs = parse_symbol_specs(entry, as_of_ms=0, source=date)
        assert all(check.same for check in compare_with_specs(build_instrument(specs), specs)), entry["symbol"]


def test_a_coarser_tick_than_the_data_of_equal_decimals_is_seen(
    btc: InstrumentSpecs, make_klines: Callable[..., Klines]
) -> None:
    half = dataclasses.replace(btc, tick_size=Decimal("0.5"))
    on_tick = build_instrument(half, make_klines([("100.5", 101, 99, "100.5", 1)]))
    off_tick = build_instrument(half, make_klines([("100.5", 101, 99, "100.4", 1)]))
    assert on_tick.price_increment.as_decimal() == Decimal("0.5")
    assert off_tick.price_increment.as_decimal() == Decimal("0.1")
