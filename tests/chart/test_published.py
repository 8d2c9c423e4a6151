"""What a strategy publishes, and the prices its positions would have been liquidated at, as a chart has them."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from chart.made_up_runs import make_klines, make_run
from nt_run.chart.captions import plot_caption, price_caption
from nt_run.chart.crowd import Crowd
from nt_run.chart.legend import legend
from nt_run.chart.lines import LIQUIDATION
from nt_run.chart.packing import Column
from nt_run.chart.page import _columns, _facts
from nt_run.chart.published import plot_panes
from nt_run.chart.view import chart_data
from nt_run.results import Run


def published(run: Run, **columns: list[float | None]) -> Run:
    names = {name.replace("__", "/"): pl.Series(values, dtype=pl.Float64) for name, values in columns.items()}
    return replace(run, plots=run.equity.select("time").with_columns(**names))


def test_lines_are_numbered_in_their_pane_and_one_value_all_along_is_a_level() -> None:
    frame = pl.DataFrame(
        {
            "time": [1, 2, 3],
            "RSI/RSI": [None, 20.0, 80.0],
            "price/upper": [1.0, 2.0, 3.0],
            "RSI/low": [30.0] * 3,
            "RSI/slow": [50.0, 51.0, None],
            "RSI/never": pl.Series([None] * 3, dtype=pl.Float64),
            "RSI/still": [None, 40.0, 40.0],
        }
    )
    rsi, price = plot_panes(frame, price_decimals=1)
    # A line that begins later is none that stood all along.
    assert [(line.name, line.colour) for line in rsi.lines] == [("RSI", 0), ("low", -1), ("slow", 1), ("still", 2)]
    # From 20 to 80 is a span of two digits before the point: two after it.
    assert (rsi.decimals, price.decimals) == (2, 1)
    low, high = rsi.extremes()
    assert (low.tolist(), high.tolist()) == ([30.0, 20.0, 30.0], [50.0, 51.0, 80.0])


def test_own_lines_take_the_place_of_the_usual_ones_and_own_panes_do_not() -> None:
    run = make_run(make_klines(3), 0)
    beside = chart_data(published(run, Mood__mood=[0.1, 0.2, 0.3]))
    assert beside.overlays is not None
    assert [pane.name for pane in beside.own_panes] == ["Mood"]
    over = chart_data(published(run, price__upper=[1.0, 2.0, None]))
    assert over.overlays is None
    candles = over.bars.pyramid()
    assert "upper 2.0" in price_caption(over, 1, level=candles.level(1))[1]
    assert "EMA" not in price_caption(over, 1, level=candles.level(1))[1]
    assert "the strategy's lines are hidden at 4h" in price_caption(over, 1, level=candles.level(240))[1]
    assert "upper –" in plot_caption(over.plots[0], 2)


def test_names_of_lines_are_text_and_no_markup() -> None:
    data = chart_data(published(make_run(make_klines(2), 0), **{"Mood__<b>": [1.0, 2.0]}))
    assert "&lt;b&gt;" in plot_caption(data.own_panes[0], 0)


def test_a_page_has_values_and_the_rows_where_they_are_unknown() -> None:
    run = published(make_run(make_klines(6), 0), Mood__mood=[None, 0.5, None, None, 0.25, 0.3])
    data = chart_data(run)
    columns: dict[str, Column] = {each.name: each for each in _columns(run, data)}
    assert columns["plot_0_edges"].scaled.tolist() == [0, 1, 2, 4]
    # 0.3 − 0.25 … 0.5: a span of 0.25 has four decimals. Unknown ones repeat the last, or the first that is known.
    assert columns["plot_0"].scaled.tolist() == [5000, 5000, 5000, 5000, 2500, 3000]
    assert _facts(run, data)["plots"] == [{"pane": "Mood", "name": "mood", "colour": 0, "decimals": 4}]


MARGIN: dict[str, Any] = {
    "mode": "isolated",
    "leverage": "10",
    "liquidation_prices": "bar extremes",
    "brackets_source": "a test",
    "brackets": [
        {"floor": "0", "cap": "50000", "rate": "0.004", "max_leverage": "125", "cum": "0"},
        {"floor": "50000", "cap": None, "rate": "0.005", "max_leverage": "100", "cum": "50"},
    ],
}


def margined(mode: str = "isolated", **changes: Any) -> Run:
    run = make_run(make_klines(40), 2)
    terms = run.trades.with_columns(side=pl.Series(["buy", "sell"]), entry_price=pl.lit(60_000.0))
    terms = terms.with_columns(quantity=pl.lit(0.5).cast(pl.Decimal(38, 8)))
    balance = run.equity.with_columns(balance=pl.lit(5_000.0))
    summary = run.summary | {"margin": MARGIN | {"mode": mode} | changes}
    return replace(run, trades=terms, equity=balance, summary=summary)


@pytest.mark.parametrize("mode", ["isolated", "cross"])
def test_each_position_has_the_price_at_which_it_would_have_been_liquidated(mode: str) -> None:
    data = chart_data(margined(mode))
    # Isolated: 0.5 × 60,000 ÷ 10 = 3,000 behind it; cross: the balance of 5,000. All in the first bracket:
    # long (3,000 − 30,000) ÷ (0.5 × 0.004 − 0.5) = 54,216.87; short (3,000 + 30,000) ÷ (0.5 × 0.004 + 0.5) = 65,737.05.
    # With 5,000: 25,000 ÷ 0.498 = 50,200.80 and 35,000 ÷ 0.502 = 69,721.12.
    expected = [54_216.87, 65_737.05] if mode == "isolated" else [50_200.80, 69_721.12]
    assert data.trades.liquidation == pytest.approx(expected, abs=0.005)
    lines = data.lines
    assert lines.price[lines.kind == LIQUIDATION] == pytest.approx(expected, abs=0.005)
    assert lines.start.tolist() == data.trades.entry_slot.tolist()
    # The second trade is open: up to the last bar.
    assert lines.end.tolist() == [data.trades.exit_slot[0], 39]
    text = price_caption(data, int(data.trades.exit_slot[0]), level=data.bars.pyramid().level(1), trade=1)[-1]
    assert f"liquidation at {expected[0]:,.1f}" in text
    sight = Crowd(data.fills, data.trades).between(0, 39, (1000, 400))
    marks = legend(data, (0, 39), sight, {LIQUIDATION})
    assert "– liquidation price" in [entry.text for entry in marks]


@pytest.mark.parametrize("summary", [{"margin": None}, {"margin": MARGIN | {"liquidation_prices": "not reachable"}}])
def test_where_margin_was_not_followed_there_is_no_such_price(summary: dict[str, Any]) -> None:
    run = margined()
    data = chart_data(replace(run, summary=run.summary | summary))
    assert np.isnan(data.trades.liquidation).all()
    assert not len(data.lines.kind)
