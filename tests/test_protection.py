from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nt_run.protection import OFF, EquityWatch, ProtectionRules, protections_object

DAY = 86_400 * 10**9
MINUTE = 60 * 10**9


def watch(**rules: object) -> EquityWatch:
    return EquityWatch(ProtectionRules(**rules), Decimal(1000))  # pyright: ignore[reportArgumentType]


def test_nothing_is_watched_unless_asked() -> None:
    assert not OFF.asked
    off = EquityWatch(OFF, Decimal(1000))
    assert not off.close(MINUTE, Decimal(1))
    assert not off.lost(MINUTE, Decimal(1), Decimal(-1), MINUTE)
    assert (off.reason(MINUTE), off.uses) == (None, [])


def test_a_drawdown_from_the_highest_equity_ends_trading_for_good() -> None:
    held = watch(max_drawdown=Decimal("0.2"))
    # The highest is 1250; 20 % below it is 1000.
    assert not held.close(MINUTE, Decimal(1250))
    assert not held.close(2 * MINUTE, Decimal("1000.01"))
    assert held.reason(2 * MINUTE) is None
    assert held.close(3 * MINUTE, Decimal(1000))
    assert held.reason(900 * DAY) == "protection: max drawdown"
    # It sets in once, however much deeper it goes.
    assert not held.close(4 * MINUTE, Decimal(500))
    (use,) = held.uses
    assert (use.rule, use.equity, use.reference, use.until_ns) == ("max_drawdown", 1000, 1250, None)


def test_a_daily_loss_ends_trading_until_the_next_utc_day() -> None:
    held = watch(max_daily_loss=Decimal("0.03"))
    assert not held.close(DAY - MINUTE, Decimal(1100))
    # The bar that closes at midnight belongs to the day that ends: 1100 to 1090 in it.
    assert not held.close(DAY, Decimal(1090))
    # 3 % of 1090 is 32.7: the day may fall to 1057.3, and does.
    assert held.close(DAY + MINUTE, Decimal("1057.3"))
    assert held.reason(2 * DAY) == "protection: max daily loss"
    assert held.reason(2 * DAY + MINUTE) is None
    assert not held.close(2 * DAY + MINUTE, Decimal(1050))
    assert [use.reference for use in held.uses] == [1090]


def test_it_can_set_in_again_another_day() -> None:
    held = watch(max_daily_loss=Decimal("0.1"))
    # 1000 → 900, then 900 → 810: ten per cent of each day's first.
    assert held.close(MINUTE, Decimal(900))
    assert not held.close(2 * MINUTE, Decimal(800))
    assert not held.close(DAY + MINUTE, Decimal(790))
    assert held.close(DAY + 2 * MINUTE, Decimal(720))
    assert [use.reference for use in held.uses] == [1000, 800]


def test_a_cooldown_lasts_its_bars() -> None:
    held = watch(cooldown=2)
    assert held.lost(10 * MINUTE, Decimal(990), Decimal(-10), MINUTE)
    # Not at the close of the exit, not at the two after it; at the third.
    assert [held.reason(bar * MINUTE) is None for bar in (10, 11, 12, 13)] == [False, False, False, True]
    assert (held.uses[0].reference, held.uses[0].until_ns) == (1000, 12 * MINUTE + 1)


def test_a_cooldown_beyond_all_calendars_has_no_end() -> None:
    # Ten million days are 27,379 years.
    held = watch(cooldown=10_000_000)
    assert held.lost(DAY, Decimal(990), Decimal(-10), DAY)
    assert held.reason(900_000 * DAY) == "protection: cooldown"
    (told,) = protections_object(held.uses)
    assert (told["rule"], told["until"]) == ("cooldown", None)


@pytest.mark.parametrize(
    ("rules", "good"),
    [
        ({"max_drawdown": Decimal("0.2")}, True),
        ({"max_drawdown": Decimal(20)}, False),
        ({"max_daily_loss": Decimal(0)}, False),
        ({"cooldown": 0}, False),
        ({"cooldown": 1}, True),
    ],
)
def test_rules_that_cannot_work_are_told(rules: dict[str, object], good: bool) -> None:
    assert all(ProtectionRules(**rules).checks().values()) is good  # pyright: ignore[reportArgumentType]


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=50), st.integers(1, 99))
def test_trading_ends_at_the_first_close_beyond_the_limit(equity: list[int], percent: int) -> None:
    held = watch(max_drawdown=Decimal(percent) / 100)
    peak, first = 1000, None
    for bar, value in enumerate(equity, start=1):
        peak = max(peak, value)
        if first is None and value * 100 <= peak * (100 - percent):
            first = bar
        assert held.close(bar * MINUTE, Decimal(value)) is (first == bar)
