from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from nt_run.honesty import check_future, check_later_starts, first_difference
from nt_run.klines import SCHEMA, Exponents, Klines
from nt_run.lens import seen_through, shown
from nt_run.model import Fill, Interval, Liquidity, SentOrder, Side
from nt_run.moments import early_moments

MINUTE = 60_000
NS = 1_000_000


def market(bars: int = 100) -> Klines:
    frame = pl.DataFrame(
        {"open_time": [MINUTE * number for number in range(bars)]}
        | {name: [1000 + number % 7 for number in range(bars)] for name in ("open", "high", "low", "close")}
        | dict.fromkeys(list(SCHEMA)[5:], [1000] * bars)
    ).with_columns(pl.col("open_time").cast(pl.Datetime("ms", "UTC")))
    return Klines("BTCUSDT", Interval("1m"), Exponents(1, 3, 4), frame.cast(dict(SCHEMA)))


def order(bar: int, side: Side = Side.BUY, **changes: Any) -> SentOrder:
    """An order sent at the close of a bar, counted from 1."""
    given = {"action": "new", "order_type": "market", "quantity": Decimal(1), **changes}
    return SentOrder(time_ns=bar * MINUTE * NS, side=side, **given)


@dataclass
class Outcome:
    sent: Sequence[SentOrder]
    fills: Sequence[Fill] = field(default_factory=list[Fill])


def filled(orders: Sequence[SentOrder]) -> Outcome:
    fills = [
        Fill(
            time_ns=each.time_ns, order_id="1", side=each.side, quantity=each.quantity, price=Decimal(100),
            reference=Decimal(100), fee=Decimal(0), liquidity=Liquidity.TAKER, order_type="market",
        )
        for each in orders
    ]  # fmt: skip
    return Outcome(orders, fills)


def test_the_first_difference_says_what_each_list_has_at_its_time() -> None:
    one, two, three = order(1), order(2), order(3)
    assert first_difference([one, two], [one, two]) is None
    missing = first_difference([one, two, three], [one, three])
    assert missing is not None
    assert (missing.time_ns, missing.first, missing.second) == (two.time_ns, two, None)
    other = order(2, Side.SELL)
    changed = first_difference([one, two], [one, other, three])
    assert changed is not None
    assert (changed.first, changed.second) == (two, other)


def test_only_orders_up_to_the_moment_count() -> None:
    klines = market()
    sent = [order(40), order(80)]

    def honest(fed: Klines, history: Klines, lens: object) -> Outcome:
        # What comes after the moment may change as it likes.
        return Outcome([each for each in sent if each.time_ns <= (fed.range.end_ms - 2 * MINUTE) * NS])

    assert all(moment.difference is None for moment in check_future(
        honest, klines, Outcome(sent), tick=Decimal("0.1"), times=6, seed=1
    ))  # fmt: skip


def test_whoever_knows_the_next_close_is_found() -> None:
    klines = market()

    def knowing(fed: Klines, history: Klines, lens: object) -> Outcome:
        closes = history.frame["close"].to_list()
        rising = [at for at in range(1, len(fed)) if at < len(closes) and closes[at] > closes[at - 1]]
        return Outcome([order(bar) for bar in rising])

    moments = check_future(knowing, klines, knowing(klines, klines, None), tick=Decimal("0.1"), times=3, seed=1)
    found = [moment for moment in moments if moment.difference]
    assert found
    assert all(moment.difference is not None and moment.difference.time_ns <= moment.time_ms * NS for moment in found)


def buying_at_the_next_low(fed: Klines, history: Klines, lens: object) -> Outcome:
    """Each bar a limit order, each tenth of them at the low of the bar to come."""
    lows = history.frame["low"].to_list()
    prices = {bar: Decimal(lows[bar]) for bar in range(10, len(fed), 10) if bar < len(lows)}
    return Outcome([order(bar, price=prices.get(bar, Decimal(7))) for bar in range(1, len(fed) + 1)])


@pytest.mark.parametrize("seed", range(30))
def test_a_look_at_the_next_bar_in_a_tenth_of_the_orders_is_found(seed: int) -> None:
    # 90 early moments all miss the tenth one time in 13,000: 0.9^90.
    klines = market(2_500)
    whole = buying_at_the_next_low(klines, klines, None)
    early = early_moments(klines, whole, 90, seed)
    assert len(early) == 90
    moments = check_future(buying_at_the_next_low, klines, whole, tick=Decimal("0.1"), times=1, seed=seed, early=early)
    assert any(moment.difference for moment in moments if moment.time_ms in early)


def test_an_early_moment_leaves_as_many_bars_again_and_a_tenth_of_the_range_at_least() -> None:
    klines, seen = market(300), list[int]()

    def run(fed: Klines, history: Klines, lens: object) -> Outcome:
        seen.append(len(history))
        return Outcome([])

    # A tenth of 300 bars; twice 40; and all 300, for twice 200 are not there.
    early = [5 * MINUTE, 40 * MINUTE, 200 * MINUTE]
    check_future(run, klines, Outcome([]), tick=Decimal("0.1"), times=1, seed=1, early=early)
    assert seen[:3] == [30, 80, 300]
    # The moment over the whole range has noise, its mirror image, and none.
    assert len(seen) == 6


@pytest.mark.parametrize(
    ("knows", "future"),
    [
        ("the next close", {"noise", "mirror"}),
        ("how many bars there will be", {"end"}),
        ("of a brief future", {"brief"}),
    ],
)
def test_an_early_find_is_named_by_the_plainest_future(knows: str, future: set[str]) -> None:
    klines = market(300)

    def run(fed: Klines, history: Klines, lens: object) -> Outcome:
        known = {
            "the next close": history.frame["close"][40] if len(history) > 40 else 0,
            "how many bars there will be": len(history),
            # The end leaves 42 bars, noise all 300, and a brief future 80.
            "of a brief future": len(history) == 80,
        }[knows]
        return Outcome([order(40, quantity=Decimal(int(known)))])

    whole = run(klines, klines, None)
    moments = check_future(run, klines, whole, tick=Decimal("0.1"), times=1, seed=1, early=[40 * MINUTE])
    found = {moment.future for moment in moments if moment.difference}
    assert found
    assert found <= future


def test_who_sees_no_bars_but_its_own_has_one_future_a_moment() -> None:
    klines, lenses = market(), list[object]()

    def run(fed: Klines, history: Klines, lens: object) -> Outcome:
        lenses.append(lens)
        return Outcome([])

    check_future(run, klines, Outcome([]), tick=Decimal("0.1"), times=4, seed=1, early=None)
    assert len(lenses) == 4


@pytest.mark.parametrize("seed", range(20))
def test_a_brief_future_goes_the_other_way_in_its_first_bar(seed: int) -> None:
    klines = market(200)
    known = [bar for bar in range(5, 195) if klines.frame["close"][bar] != klines.frame["close"][bar - 1]]
    bar, ways = known[seed * 7], list[bool]()

    def run(fed: Klines, history: Klines, lens: object) -> Outcome:
        if not ways:
            ways.append(history.frame["close"][bar] > history.frame["close"][bar - 1])
        return Outcome([])

    check_future(run, klines, Outcome([]), tick=Decimal("0.1"), times=1, seed=seed, early=[bar * MINUTE])
    assert ways[0] != (klines.frame["close"][bar] > klines.frame["close"][bar - 1])


def test_a_later_start_is_equal_once_warm() -> None:
    klines = market(300)
    # The later run of 30 bars lacks the order of bar 31, as its indicator still warms up.
    whole = [order(bar, side) for bar, side in zip(range(31, 300, 10), [Side.BUY, Side.SELL] * 20, strict=False)]

    def run(fed: Klines, history: Klines, lens: object) -> Outcome:
        start = fed.range.start_ms // MINUTE
        return filled([each for each in whole if each.time_ns > (start + 10) * MINUTE * NS])

    starts = check_later_starts(run, klines, filled(whole))
    assert [(start.bars, start.agreement) for start in starts] == [(1, "equal"), (30, "equal"), (61, "equal")]
    thirty = starts[1]
    assert (thirty.compared, thirty.equal_after) == (27, 1)
    assert thirty.difference is not None
    assert (thirty.difference.first, thirty.difference.second) == (whole[0], None)


def test_decisions_in_different_positions_are_not_compared() -> None:
    klines = market(300)
    whole = [order(31), order(290, Side.SELL)]

    def run(fed: Klines, history: Klines, lens: object) -> Outcome:
        # Enters ten bars later while the whole run holds its position, and leaves earlier.
        return filled([order(80), order(100, Side.SELL)])

    # From bar 30 on: the two decide differently at bar 31, both flat, and never meet again.
    thirty = check_later_starts(run, klines, filled(whole))[1]
    assert (thirty.agreement, thirty.equal_after) == ("by_position", 1)


def test_decisions_that_differ_to_the_end_in_the_same_position_never_agree() -> None:
    klines = market(300)
    whole = [order(bar, side) for bar, side in zip(range(5, 300, 10), [Side.BUY, Side.SELL] * 20, strict=False)]

    def run(fed: Klines, history: Klines, lens: object) -> Outcome:
        moved = [(bar + 1, side) for bar, side in zip(range(5, 299, 10), [Side.BUY, Side.SELL] * 20, strict=False)]
        return filled([order(bar, side) for bar, side in moved])

    assert {start.agreement for start in check_later_starts(run, klines, filled(whole))} == {"never"}


@pytest.mark.parametrize(("turns", "agreement"), [(9, "by_position"), (10, "apart")])
def test_runs_a_bar_apart_that_open_ten_positions_each_and_none_at_the_same_time_depend_on_the_start(
    turns: int, agreement: str
) -> None:
    klines = market(300)

    def turning(first: int) -> Outcome:
        # Enters with one, then turns with two every ten bars; never flat.
        sides = [Side.BUY, Side.SELL] * 15
        sent = [order(first + 10 * at, sides[at], quantity=Decimal(min(at, 1) + 1)) for at in range(turns + 1)]
        fills = [replace(fill, quantity=sent[at].quantity) for at, fill in enumerate(filled(sent).fills)]
        return Outcome(sent, fills)

    def run(fed: Klines, history: Klines, lens: object) -> Outcome:
        return turning(fed.range.start_ms // MINUTE + 1)

    # From bar 1 on, the run from there turns at 12, 22, …, the whole one at 11, 21, …: as many times as `turns` says.
    starts = check_later_starts(run, klines, turning(1))
    assert (starts[0].bars, starts[0].agreement) == (1, agreement)
    # From much later on, trades that last may well fall otherwise and never meet.
    assert {start.agreement for start in starts[1:]} <= {"by_position", "never"}


def test_without_orders_there_is_nothing_to_compare() -> None:
    starts = check_later_starts(lambda *_: Outcome([]), market(300), Outcome([]))
    assert {start.agreement for start in starts} == {"no_orders"}


def test_a_lens_holds_as_long_as_its_context() -> None:
    klines, other = market(3), market(5)
    with seen_through(lambda _: other):
        assert shown(klines) is other
        with seen_through(None):
            assert shown(klines) is klines
    assert shown(klines) is klines


@pytest.mark.parametrize("bars", [1, 3])
def test_short_ranges_have_no_later_start(bars: int) -> None:
    assert [start.bars for start in check_later_starts(lambda *_: Outcome([]), market(bars), Outcome([]))] in ([], [1])
