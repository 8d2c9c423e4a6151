"""Two backtests published by others, with their exact input: their lists of entries and exits, replayed.

Both entered and left at a kline's open, long and one trade at a time, with a taker fee of 0.05 %, and paid funding at
the open of the mark kline at the settlement. The strategy here knows nothing but the list.
"""

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from nautilus_trader.model import Bar
from pyarrow import feather

from nt_run.accounting import Trade, build_trades
from nt_run.engine.run import EngineOutput
from nt_run.execution import Execution
from nt_run.klines import Klines
from nt_run.model import MS, FundingRate, format_time
from nt_run.specs import InstrumentSpecs, parse_specs

type Run = Callable[..., EngineOutput]

D = Decimal
CLOSE_ENOUGH = D("1e-6")
"""USDT a trade, as published with eight decimals."""


def exact(number: float) -> Decimal:
    """A float of a file as the decimal number it stands for."""
    return D(repr(number))


@pytest.fixture
def rules(recorded_exchange_info: dict[str, Any]) -> InstrumentSpecs:
    return parse_specs(recorded_exchange_info, "BTCUSDT", as_of_ms=0, source="recorded")


@pytest.fixture
def published(recordings: Path, recorded_klines: Callable[..., Klines]) -> Callable[..., Any]:
    """The klines, settlements and report of one of the two."""

    def read(folder: str, interval: str) -> tuple[Klines, list[FundingRate], dict[str, Any]]:
        place = recordings / "results" / folder
        klines = recorded_klines(f"BTC_USDT_USDT-{interval}-futures", interval, folder=f"results/{folder}")
        rates: Any = pl.from_arrow(feather.read_table(place / "BTC_USDT_USDT-8h-funding_rate.feather"))
        marks: Any = pl.from_arrow(feather.read_table(place / "BTC_USDT_USDT-8h-mark.feather"))
        prices = dict(zip(marks["date"].dt.epoch("ms"), marks["open"], strict=True))
        settlements: list[FundingRate] = []
        for time_ms, rate in zip(rates["date"].dt.epoch("ms"), rates["open"], strict=True):
            slot = time_ms // 1000 * 1000
            mark = exact(prices[slot]) if slot in prices else None
            settlements.append(FundingRate(time_ms=time_ms, slot_ms=slot, rate=exact(rate), mark_price=mark))
        (report,) = (json.loads(file.read_text()) for file in place.glob("*.json"))
        (result,) = report["strategy"].values()
        return klines, settlements, result

    return read


def replayed(
    klines: Klines, rates: Sequence[FundingRate], listed: Sequence[dict[str, Any]], run: Run, kit: Any, **more: Any
) -> tuple[list[Trade], EngineOutput]:
    """Buy and sell as listed, each order at the close before the open at which it filled."""
    orders: dict[int, list[Any]] = {}
    for trade in listed:
        orders.setdefault(trade["close_timestamp"] * MS, []).append(kit.sell(str(trade["amount"])))
        orders.setdefault(trade["open_timestamp"] * MS, []).append(kit.buy(str(trade["amount"])))

    class Replays(kit.Scripted):
        def on_bar(self, bar: Bar) -> None:
            for act in orders.get(bar.ts_event, ()):
                act(self, bar)

    source = kit.Source(Replays)
    next_open = Execution(fill="next-open")
    output = run(klines, source, funding=rates, balance=D(1000), execution=next_open, **more)
    return build_trades(output.fills, output.payments), output


def assert_same(trade: Trade, listed: dict[str, Any]) -> None:
    assert trade.entry_time_ns == listed["open_timestamp"] * MS
    assert trade.exit_time_ns == listed["close_timestamp"] * MS
    assert (trade.quantity, trade.entry_price) == (exact(listed["amount"]), exact(listed["open_rate"]))
    assert abs(trade.funding - exact(listed["funding_fees"])) < CLOSE_ENOUGH


def test_854_published_trades_end_at_their_published_balance(
    published: Any, rules: InstrumentSpecs, run: Run, kit: Any
) -> None:
    klines, rates, result = published("btc-1m-854-trades", "1m")
    trades, output = replayed(klines, rates, result["trades"], run, kit, specs=rules)
    assert len(trades) == len(result["trades"]) == 854
    assert output.denials == []
    for trade, listed in zip(trades, result["trades"], strict=True):
        assert_same(trade, listed)
        assert trade.exit_price == exact(listed["close_rate"])
        assert abs(trade.pnl - exact(listed["profit_abs"])) < CLOSE_ENOUGH
    assert abs(output.balance - D("792.20141804")) < CLOSE_ENOUGH
    assert abs(sum((trade.funding for trade in trades), D(0)) - D("-0.21842252517953614")) < CLOSE_ENOUGH


def test_37_published_trades_end_at_their_published_balance_but_for_one_exit(
    published: Any, rules: InstrumentSpecs, run: Run, kit: Any
) -> None:
    klines, rates, result = published("btc-5m-37-trades", "5m")
    trades, output = replayed(klines, rates, result["trades"], run, kit, specs=rules)
    assert len(trades) == len(result["trades"]) == 37
    assert output.denials == []
    unreached: list[tuple[str, Decimal]] = []
    for trade, listed in zip(trades, result["trades"], strict=True):
        assert_same(trade, listed)
        if trade.exit_price == exact(listed["close_rate"]):
            assert abs(trade.pnl - exact(listed["profit_abs"])) < CLOSE_ENOUGH
        else:
            unreached.append((format_time(listed["close_timestamp"]), exact(listed["profit_abs"]) - trade.pnl))
    # One take profit (`roi`) was counted as filled inside its bar and off the tick, at 102646.47433716856, where no
    # order could fill; here it leaves at that bar's open.
    ((when, missing),) = unreached
    assert when == "2025-06-23 17:35"
    (exit_,) = (listed for listed in result["trades"] if format_time(listed["close_timestamp"]) == when)
    opens = dict(zip(klines.open_times().tolist(), klines.frame["open"], strict=True))
    left_at = D(opens[exit_["close_timestamp"]]).scaleb(-klines.exponents.price)
    assert trades[result["trades"].index(exit_)].exit_price == left_at
    # quantity × (published − open), less the fee of that
    price = D("102646.47433716856")
    assert abs(missing - exact(exit_["amount"]) * (price - left_at) * (1 - D("0.0005"))) < CLOSE_ENOUGH
    assert abs(output.balance + missing - D("1013.88013453")) < CLOSE_ENOUGH


def test_an_exit_at_a_settlement_pays_it(published: Any, rules: InstrumentSpecs, run: Run, kit: Any) -> None:
    klines, rates, result = published("btc-5m-37-trades", "5m")
    (listed,) = (trade for trade in result["trades"] if trade["close_date"].startswith("2025-06-28 16:00"))
    (trade,), output = replayed(klines, rates, [listed], run, kit, specs=rules)
    (payment,) = output.payments
    assert payment.time_ns == trade.exit_time_ns == output.fills[1].time_ns
    assert payment.price_source == "mark_price"
    assert abs(payment.amount - exact(listed["funding_fees"])) < CLOSE_ENOUGH
