from collections.abc import Callable
from decimal import Decimal
from typing import Any

from nt_run.engine.run import EngineOutput
from nt_run.klines import Klines
from nt_run.sizing import SizingRules

type Run = Callable[..., EngineOutput]
type Make = Callable[..., Klines]

ACCEPTS = frozenset({"instrument_id", "bar_type", "sizer"})


def flat(price: float) -> tuple[Any, ...]:
    return (price, price, price, price, 40)


def entering(kit: Any, script: dict[int, str]) -> Any:
    """Buys what the sizer says, or closes, at the close of the bars named."""

    class Entering(kit.Scripted):
        def on_bar(self, bar: Any) -> None:
            self.number += 1
            if script.get(self.number) == "buy" and (quantity := self.own["sizer"].quantity(bar.close)):
                kit.buy(str(quantity))(self, bar)
            if script.get(self.number) == "close":
                self.close_all_positions(self.own["instrument_id"])

    return kit.Source(Entering, accepts=ACCEPTS)


def test_volatility_counts_the_bars_up_to_the_entry(run: Run, make_klines: Make, kit: Any) -> None:
    # Two returns of ln 1.1 by the minute: 0.0953102 × √525,600 = 69.0982 a year.
    # 100,000 × 0.5 ÷ (121 × 69.0982) = 5.98019… The jump that follows is not known yet.
    klines = make_klines([flat(price) for price in (100, 110, 121, 200, 200)])
    rules = SizingRules(method="volatility", fraction=Decimal("0.5"), volatility_period=2)
    output = run(klines, entering(kit, {0: "buy", 2: "buy"}), sizing=rules)
    assert [str(fill.quantity) for fill in output.fills] == ["5.980"]
    assert [denial.reason for denial in output.denials] == ["sizing: volatility not known yet"]


def test_kelly_starts_small_then_counts_the_trades_of_the_run(run: Run, make_klines: Make, kit: Any) -> None:
    # Trades of +10 % and −5 % of 2,000 USDT and their fees, 2.1 and 1.95 (of 20 BTC at 100, 110 and 100, 95).
    klines = make_klines([flat(price) for price in (100, 110, 100, 95, 100, 100)])
    rules = SizingRules(method="kelly", fraction=Decimal("0.02"), kelly_trades=2)
    script = {0: "buy", 1: "close", 2: "buy", 3: "close", 4: "buy"}
    output = run(klines, entering(kit, script), sizing=rules)
    first, _, second, _, third = (fill.quantity for fill in output.fills)
    # 2 % of 100,000 ÷ 100; then of 100,197.90.
    assert (first, second) == (Decimal(20), Decimal("20.039"))
    # Returns after fees: +0.09895 and −0.050975; f = 0.5 − 0.5 × 0.050975 ÷ 0.09895 = 0.24242
    # share = 0.02 × 0.24242 ÷ 0.050975 = 0.0951133; 0.0951133 × 100,095.75 ÷ 100 = 95.204
    assert abs(third - Decimal("95.204")) <= Decimal("0.002")


def test_kelly_without_an_edge_sizes_nothing(run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines([flat(price) for price in (100, 90, 100, 100)])
    rules = SizingRules(method="kelly", fraction=Decimal("0.5"), kelly_trades=1)
    output = run(klines, entering(kit, {0: "buy", 1: "close", 2: "buy"}), sizing=rules)
    assert len(output.fills) == 2
    assert [denial.reason for denial in output.denials] == ["sizing: the trades so far show no edge"]
