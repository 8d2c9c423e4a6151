"""What a run's cost ladder says of another slippage is what the engine makes with it."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from nt_run.costs import RUNGS, CostLadder
from nt_run.engine.run import EngineOutput
from nt_run.execution import Execution, Slippage
from nt_run.frames import fills_frame
from nt_run.klines import Exponents, Klines

type Run = Callable[..., EngineOutput]

D = Decimal
BALANCE = D(100_000)
# A tick of 0.1 is 1.5 bp here, and the price gains a percent in ten bars.
CLOSES = [f"{650 + 0.7 * number + (number % 3) * 0.4:.1f}" for number in range(12)]


def rows(closes: list[str], *, finer: str | None = None) -> list[tuple[Any, ...]]:
    made = [(close, D(close) + 1, D(close) - 1, close, 4000) for close in closes]
    return made if finer is None else [*made, (closes[-1], D(closes[-1]) + 1, finer, closes[-1], 4000)]


@pytest.fixture
def nets(run: Run, make_klines: Callable[..., Klines], kit: Any) -> Callable[..., tuple[Decimal, CostLadder]]:
    """The net of a run with some slippage and its ladder: three round trips of fixed sizes, long and short."""
    script = {1: [kit.buy("3")], 4: [kit.sell("4")], 5: [kit.buy("4.5")], 8: [kit.sell("1.5")], 10: [kit.sell("2")]}

    def go(bps: Decimal, finer: str | None = None) -> tuple[Decimal, CostLadder]:
        klines: Klines = make_klines(rows(CLOSES, finer=finer), exponents=Exponents(2, 3, 5))
        output = run(klines, script, execution=Execution(slippage=Slippage(bps=bps)))
        assert len(output.fills) == 5
        (step,) = (check.built for check in output.spec_checks if check.name == "tick_size")
        net = kit.equity_of(output, klines, BALANCE) - BALANCE
        return net, CostLadder(fills_frame(output.fills), net=net, price_step=step, balance=BALANCE)

    return go


@pytest.mark.parametrize("finer", [None, "650.13"])
def test_each_rung_is_the_net_of_a_run_with_that_slippage(
    nets: Callable[..., tuple[Decimal, CostLadder]], finer: str | None
) -> None:
    # A price between the ticks makes the run's prices, and so the rungs', as fine as it is.
    runs = {bps: nets(bps, finer) for bps in RUNGS}
    assert {ladder.price_step for _, ladder in runs.values()} == {D("0.1") if finer is None else D("0.01")}
    for _, ladder in runs.values():
        assert all(abs(ladder.net(bps) - net) < D("1e-6") for bps, (net, _) in runs.items())


@pytest.mark.parametrize("finer", [None, "650.13"])
def test_a_run_at_the_break_even_loses_nothing_and_one_a_hundredth_beyond_it_does(
    nets: Callable[..., tuple[Decimal, CostLadder]], finer: str | None
) -> None:
    most = nets(D(0), finer)[1].break_even_bps
    assert most is not None
    assert nets(most, finer)[0] >= 0 > nets(most + D("0.01"), finer)[0]
