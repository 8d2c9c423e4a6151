"""What an entry sized by its stop was asked to risk, and what stands behind it. Pure."""

from dataclasses import dataclass
from decimal import Decimal

from nt_run.margin import MarginRules, liquidation_price
from nt_run.model import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRisk:
    """One entry as it was sized: `quantity` at `price`, to lose at most `asked` (quote asset) at `stop_price`."""

    time_ns: int
    quantity: Decimal
    price: Decimal
    stop_price: Decimal
    asked: Decimal

    @property
    def side(self) -> Side:
        """The side of the entry: a stop below its price protects a buy."""
        return Side.BUY if self.stop_price < self.price else Side.SELL


@dataclass(frozen=True, slots=True, kw_only=True)
class Backing:
    """What stands behind a position: its margin of notional ÷ `leverage`, or with `cross` the equity it was sized by.

    `fraction` is the share of that equity it was asked to risk.
    """

    rules: MarginRules
    cross: bool
    leverage: Decimal
    fraction: Decimal

    def liquidated_at(self, asked: AskedRisk) -> Decimal | None:
        """Return the price at which an entry, filled at the price it was sized at, would be liquidated, if at any."""
        wallet = asked.asked / self.fraction if self.cross else asked.quantity * asked.price / self.leverage
        return liquidation_price(asked.side, asked.quantity, asked.price, wallet, self.rules)

    def comes_first(self, asked: AskedRisk) -> bool:
        """Return whether liquidation comes before the stop, or with it."""
        price = self.liquidated_at(asked)
        return price is not None and asked.side.sign * (price - asked.stop_price) >= 0
