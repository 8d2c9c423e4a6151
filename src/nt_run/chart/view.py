"""What a chart shows: a kept run as arrays, prepared once and drawn by any of the outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from nt_run.chart.bars import Bars, slots_of
from nt_run.chart.indicators import Bands, bollinger, ema
from nt_run.chart.limits import liquidation_prices
from nt_run.chart.lines import PriceLines, price_lines
from nt_run.chart.published import PRICE, PlotPane, plot_panes
from nt_run.klines import bar_numbers
from nt_run.model import LIQUIDATION, format_time, instrument_id, parse_time

if TYPE_CHECKING:
    from nt_run.chart.levels import Flags, Floats, Ints
    from nt_run.results import Run

FAST_PERIOD = 10
SLOW_PERIOD = 21
"""Averages drawn when the strategy has no parameters `fast` and `slow`."""
_QUANTA = 100_000_000


@dataclass(frozen=True, slots=True)
class Overlays:
    """The usual lines over the candles, one value per bar, NaN while warming up."""

    fast: Floats
    slow: Floats
    fast_period: int
    slow_period: int
    bands: Bands


@dataclass(frozen=True, slots=True)
class Fills:
    """One row per execution, in time order. `sign` is +1 for a buy; `opens` where it starts or adds to a position.

    `liquidation` is set where the exchange closed the position.
    """

    slot: Ints
    price: Floats
    sign: Ints
    opens: Flags
    liquidation: Flags


@dataclass(frozen=True, slots=True)
class Trades:
    """One row per trade, in the order of entry. `sign` is +1 for a long.

    An open trade ends at the last close, and its `pnl` counts what is not realised yet.
    """

    entry_slot: Ints
    exit_slot: Ints
    entry_price: Floats
    exit_price: Floats
    sign: Ints
    quantity: Floats
    pnl: Floats
    is_open: Flags
    liquidation: Floats
    """The price at which it would have been liquidated, NaN where none is known."""


@dataclass(frozen=True, slots=True)
class Account:
    """One row per bar, as of its close: signed quantity, quote asset, and drawdown as a fraction ≤ 0."""

    start: float
    position: Floats
    equity: Floats
    drawdown: Floats


@dataclass(frozen=True, slots=True)
class Funding:
    """One row per settlement in quote asset, negative when paid."""

    slot: Ints
    amount: Floats


@dataclass(frozen=True, slots=True)
class Stat:
    """A number of the header: name, text, the sign that colours it (0 is plain), and its name where room is short."""

    name: str
    text: str
    sign: int = 0
    short: str = ""


@dataclass(frozen=True, slots=True)
class ChartData:
    """Everything a chart of one run draws. Prices and quantities are shown with the decimals given here."""

    title: str
    subtitle: str
    demo: bool
    stats: tuple[Stat, ...]
    bars: Bars
    overlays: Overlays | None
    """`None` where the strategy publishes lines of its own for the candles."""
    fills: Fills
    trades: Trades
    account: Account
    funding: Funding
    lines: PriceLines
    ambiguous: Ints
    """Slots of bars that allow more than one end of a position, in order."""
    price_decimals: int
    quantity_decimals: int
    plots: tuple[PlotPane, ...] = ()
    """What the strategy publishes: lines for the candles, if any, and its own panes."""

    @property
    def price_plot(self) -> PlotPane | None:
        """The strategy's lines over the candles."""
        return next((pane for pane in self.plots if pane.name == PRICE), None)

    @property
    def own_panes(self) -> tuple[PlotPane, ...]:
        """The strategy's panes below the candles."""
        return tuple(pane for pane in self.plots if pane.name != PRICE)


def chart_data(run: Run) -> ChartData:
    """Return the arrays of a kept run, at least one bar long."""
    bars = _bars(run)
    closes = run.klines.frame["close"].to_numpy()
    volumes = run.klines.frame["volume"].to_numpy()
    price_decimals = _used_decimals(closes, run.klines.exponents.price)
    plots = plot_panes(run.plots, price_decimals)
    quantities = np.concatenate([volumes, _quanta(run.fills["quantity"], run.klines.exponents.quantity)])
    return ChartData(
        title=instrument_id(run.summary["symbol"]),
        subtitle=_subtitle(run),
        demo=bool(run.summary.get("demo", False)),
        stats=_stats(run.summary),
        bars=bars,
        overlays=None if any(pane.name == PRICE for pane in plots) else _overlays(run, bars),
        fills=_fills(run.fills, bars),
        trades=_trades(run, bars),
        account=_account(run),
        funding=Funding(slots_of(run.funding["time"], bars), _floats(run.funding["amount"])),
        lines=price_lines(run, bars),
        ambiguous=_ambiguous(run.summary.get("ambiguity"), bars),
        price_decimals=price_decimals,
        quantity_decimals=_used_decimals(quantities, run.klines.exponents.quantity),
        plots=plots,
    )


def _overlays(run: Run, bars: Bars) -> Overlays:
    params = run.summary["strategy"].get("params", {})
    fast, slow = _period(params, "fast", FAST_PERIOD), _period(params, "slow", SLOW_PERIOD)
    return Overlays(ema(bars.close, fast), ema(bars.close, slow), fast, slow, bollinger(bars.close))


def _bars(run: Run) -> Bars:
    frame = run.klines.floats()
    open_ms = frame["open_time"].dt.epoch("ms").to_numpy()
    interval = run.klines.interval
    number = bar_numbers(interval, open_ms)
    columns = (_floats(frame[name]) for name in ("open", "high", "low", "close", "volume"))
    return Bars(interval, open_ms, number - number[0], *columns)


def _account(run: Run) -> Account:
    closes = run.klines.close_times()
    times = run.equity["time"].dt.epoch("ms").to_numpy()
    row = np.searchsorted(times, closes, side="right") - 1
    known = row >= 0

    def at_close(name: str) -> Floats:
        values = _floats(run.equity[name])
        return np.where(known, values[np.maximum(row, 0)], np.nan) if len(values) else np.full(len(closes), np.nan)

    equity = at_close("equity")
    start = run.summary.get("account", {}).get("starting_balance")
    first = float(equity[np.argmax(np.isfinite(equity))])
    return Account(first if start is None else float(start), at_close("position"), equity, at_close("drawdown"))


def _fills(frame: pl.DataFrame, bars: Bars) -> Fills:
    sign = _signs(frame["side"])
    quantity = _quanta(frame["quantity"], 8)
    before = np.cumsum(sign * quantity) - sign * quantity
    opens = (before * sign >= 0) | (quantity > np.abs(before))
    liquidation = (frame["order_type"] == LIQUIDATION).to_numpy()
    return Fills(slots_of(frame["time"], bars), _floats(frame["price"]), sign, opens, liquidation)


def _ambiguous(ambiguity: dict[str, Any] | None, bars: Bars) -> Ints:
    listed: list[dict[str, Any]] = [] if ambiguity is None else ambiguity["listed"]
    # The bar a moment inside it belongs to; an end would do as well, but for bars looked at in finer klines.
    places = {int(bars.place(parse_time(one["start"]))) for one in listed}
    return np.array(sorted(places), dtype=np.int64)


def _trades(run: Run, bars: Bars) -> Trades:
    frame = run.trades
    is_open = frame["exit_time"].is_null().to_numpy()
    last = int(bars.slot[-1])
    entry, leave = slots_of(frame["entry_time"], bars), slots_of(frame["exit_time"], bars)
    exit_price = _floats(frame["exit_price"])
    # The books hold what an open trade has realised; a reader wants what it stands at.
    unrealised = float(run.summary.get("account", {}).get("open_pnl", 0))
    return Trades(
        entry,
        np.where(is_open, last, leave),
        _floats(frame["entry_price"]),
        np.where(is_open, bars.close[-1], exit_price),
        _signs(frame["side"]),
        _floats(frame["quantity"]),
        _floats(frame["pnl"]) + np.where(is_open, unrealised, 0.0),
        is_open,
        liquidation_prices(run),
    )


def _signs(sides: pl.Series) -> Ints:
    return np.where((sides.cast(pl.String) == "buy").to_numpy(), 1, -1).astype(np.int64)


def _floats(series: pl.Series) -> Floats:
    return series.cast(pl.Float64).fill_null(np.nan).to_numpy().astype(np.float64)


def _quanta(amounts: pl.Series, decimals: int) -> Ints:
    return np.rint(_floats(amounts) * 10.0**decimals).astype(np.int64)


def _used_decimals(scaled: Ints, exponent: int) -> int:
    decimals = exponent
    while decimals > 0 and not np.any(scaled % 10 ** (exponent - decimals + 1)):
        decimals -= 1
    return decimals


def _period(params: dict[str, Any], name: str, default: int) -> int:
    value = params.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 1 else default


def strategy_label(strategy: dict[str, Any]) -> str:
    """Return the short name of a summary's strategy, such as `ema_cross 10/21`."""
    params = strategy.get("params", {})
    numbers = [f"{params[name]}" for name in ("fast", "slow") if name in params]
    return strategy["name"].rsplit("/", 1)[-1] + (f" {'/'.join(numbers)}" if numbers else "")


def _subtitle(run: Run) -> str:
    name = strategy_label(run.summary["strategy"])
    times = run.klines.range
    start, end = (format_time(time_ms).removesuffix(" 00:00") for time_ms in (times.start_ms, times.end_ms))
    return f"{run.klines.interval} · {name} · {start} → {end} UTC"


def _stats(summary: dict[str, Any]) -> tuple[Stat, ...]:
    pnl, metrics = summary.get("pnl", {}), summary.get("metrics", {})
    net, total = float(pnl.get("net", 0)), metrics.get("total_return")
    share = "" if total is None else f" ({total:+.2%})"
    fees, funding = float(pnl.get("fees", 0)), float(pnl.get("funding", 0))
    drawdown = metrics.get("max_drawdown")
    liquidations = summary.get("liquidations") or ()
    lost = sum(float(each["lost"]) for each in liquidations)
    liquidated = [Stat("Liquidations", f"{len(liquidations)} ({-lost:+,.2f})", -1, short="Liq.")]
    return (
        Stat("Net PnL", f"{net:+,.2f}{share}", (net > 0) - (net < 0)),
        Stat("Trades", f"{summary.get('trades', 0):,}"),
        Stat("Win rate", _number(metrics.get("win_rate"), ".1%"), short="Win"),
        Stat("Profit factor", _number(metrics.get("profit_factor"), ".2f"), short="PF"),
        Stat("Max drawdown", _number(drawdown, ".2%"), -1 if drawdown else 0, short="Max DD"),
        *(liquidated if liquidations else ()),
        Stat("Fees", f"{fees:+,.2f}"),
        Stat("Funding", f"{funding:+,.2f}"),
    )


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
