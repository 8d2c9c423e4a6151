"""What the engine does about margin, held against the definition by code that shares nothing with it."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nautilus_trader.model import OrderSide

from nt_run.engine import lookout
from nt_run.engine.run import EngineOutput
from nt_run.execution import Execution, Slippage
from nt_run.frames import orders_frame
from nt_run.held import MarginTerms, Tier, follow
from nt_run.liquidation import MarginPlan, margin_object
from nt_run.margin import MarginMode, MarginRules, build_brackets
from nt_run.matching import mark_extremes, match_bars
from nt_run.model import Fees
from nt_run.outcomes import Costs
from nt_run.readback import read_orders, read_sent
from nt_run.sizing import SizingRules
from nt_run.solvency import SolvencyCheck, check_listed, deciding_bars
from nt_run.specs import InstrumentSpecs
from nt_run.working_orders import check_orders

D = Decimal
Run = Callable[..., EngineOutput]
Make = Callable[..., Any]
BALANCE = D(100_000)
RULES = MarginRules(
    symbol="BTCUSDT",
    brackets=build_brackets(
        [
            (D(0), D(300_000), D("0.004"), D(150)),
            (D(300_000), D(800_000), D("0.005"), D(150)),
            (D(800_000), D(10**9), D("0.0065"), D(150)),
        ]
    ),
    as_of_ms=0,
    source="test",
)
TIERS = [Tier(floor=one.floor, cap=one.cap, rate=one.rate, cum=one.cum) for one in RULES.brackets]


def rest(kind: str, side: OrderSide, quantity: str, price: str, *, reduce_only: bool) -> Callable[[Any, Any], None]:
    def act(strategy: Any, _bar: object) -> None:
        make = getattr(strategy.order_factory, kind)
        instrument = strategy.own["instrument_id"]
        order = make(instrument, side, strategy.amount(quantity), strategy.price(price), reduce_only=reduce_only)
        strategy.submit_order(order)

    return act


@dataclass(frozen=True, kw_only=True)
class Case:
    """One random run: its market, how its positions are margined, and its orders."""

    seed: int
    leverage: int
    marked: bool
    mode: MarginMode
    execution: Execution
    funding: str
    orders: list[tuple[int, bool, Decimal, str, int, bool]]
    stretch: int

    def script(self, closes: Any, kit: Any) -> dict[int, list[Any]]:
        script: dict[int, list[Any]] = {}
        for bar, buys, quantity, kind, percent, reduce_only in self.orders:
            if kind == "market":
                act = (kit.buy if buys else kit.sell)(str(quantity))
            else:
                price, side = f"{closes[bar] * (1 + percent / 1000):.1f}", OrderSide.BUY if buys else OrderSide.SELL
                act = rest(kind, side, str(quantity), price, reduce_only=reduce_only)
            script.setdefault(bar, []).append(act)
        return script


order = st.tuples(
    st.integers(0, 116),
    st.booleans(),
    st.decimals("0.001", "60", places=3),
    st.sampled_from(["market", "stop_market", "limit"]),
    st.integers(-40, 40),
    st.booleans(),
)
cases = st.builds(
    Case,
    seed=st.integers(1, 10_000),
    leverage=st.sampled_from([2, 10, 50, 150]),
    marked=st.booleans(),
    mode=st.sampled_from(["isolated", "cross"]),
    execution=st.sampled_from(
        [Execution(), Execution(fill="next-open"), Execution(slippage=Slippage(bps=D(2), ticks=3))]
    ),
    funding=st.sampled_from(["0.002", "-0.002"]),
    orders=st.lists(order, min_size=1, max_size=14),
    stretch=st.sampled_from([1, 7, 512]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases)
def test_the_engine_liquidates_when_and_where_the_definition_does(
    case: Case, run: Run, random_market: Make, kit: Any, btc: InstrumentSpecs, fees: Fees
) -> None:
    klines = random_market(120, seed=case.seed, sigma=0.01)
    marks = random_market(120, seed=case.seed + 1, sigma=0.01) if case.marked else None
    plan, leverage = MarginPlan(mode=case.mode, rules=RULES, marks=marks), D(case.leverage)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lookout, "MOST_ROWS", case.stretch)
        output = run(
            klines,
            case.script(klines.column("close"), kit),
            sizing=SizingRules(leverage=leverage),
            margin=plan,
            funding=[kit.rate(case.funding, None, kit.SLOT)],
            execution=case.execution,
        )
    costs = Costs(fees=fees, execution=case.execution, tick=btc.tick_size)
    listed = kit.ambiguities(output, match_bars(klines), costs)
    terms = MarginTerms(
        mode=case.mode,
        leverage=leverage,
        tiers=TIERS,
        taker=fees.taker,
        liquidation_fee=btc.liquidation_fee or D(0),
        tick=btc.tick_size,
    )
    frame = orders_frame(output.resting)
    wrong = check_orders(read_orders(frame), output.fills, match_bars(klines), tick=btc.tick_size, step=btc.step_size)
    assert wrong == []
    sent = read_sent(frame)
    course = follow(output.fills, output.payments, sent, balance=BALANCE, leverage=leverage)
    bars = deciding_bars(klines, None, mark_extremes(marks, klines.open_times()), None)
    check = SolvencyCheck(course, bars, terms, next_open=case.execution.fill == "next-open")
    starts = {each.bar.start_ms for each in listed if each.liquidation is not None}
    assert [*check.forced(), *check.undue(), *check.missed(), *check.unsaid(starts)] == []
    assert check_listed(course, margin_object(plan, klines, leverage, output.liquidations)["liquidations"]) == []
