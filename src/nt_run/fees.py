"""What a fill is charged: the exchange's published schedule, or the user's own fees. Pure, in `Decimal`."""

from decimal import Decimal

import msgspec

from nt_run.errors import UsageError
from nt_run.model import Fees
from nt_run.specs import BNB_SHARE, VIP_FEES


class FeesConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[fees]`: the VIP level's published fees, or explicit fractions of notional."""

    vip: int = 0
    bnb: bool = False
    """Whether fees are paid in BNB, which takes a tenth off the schedule; explicit fractions stay as they are."""
    maker: Decimal | None = None
    taker: Decimal | None = None

    def checks(self) -> dict[str, bool]:
        """Return what must hold of the fees, and whether it does."""
        return {
            f"fees.vip must be from 0 to {len(VIP_FEES) - 1}": 0 <= self.vip < len(VIP_FEES),
            "fees.maker must be from -0.01 to 0.1 (0.02% or 0.0002)": self.maker is None
            or Decimal("-0.01") <= self.maker <= Decimal("0.1"),
            "fees.taker must be from 0 to 0.1 (0.05% or 0.0005)": self.taker is None
            or 0 <= self.taker <= Decimal("0.1"),
        }

    def refuse_idle(self) -> None:
        """Refuse a level or a discount of the schedule where nothing is charged by the schedule.

        Raises:
            UsageError: Both fees are given, and something besides.
        """
        idle = [name for name in ("vip", "bnb") if getattr(self, name)]
        if idle and self.maker is not None and self.taker is not None:
            flags, keys = " and ".join(f"--{name}" for name in idle), ", ".join(f"fees.{name}" for name in idle)
            raise UsageError(
                f"--maker and --taker are both given, so nothing of the fee schedule is left for {flags} ({keys}). "
                "Leave that out, or one of the fees."
            )

    def charged(self) -> Fees:
        """Return the fees charged, and where each comes from."""
        maker, taker = VIP_FEES[self.vip]
        schedule = f"Binance USDⓈ-M fee schedule, VIP {self.vip}"
        if self.bnb:
            maker, taker = maker * BNB_SHARE, taker * BNB_SHARE
            schedule += ", 10 % off in BNB"
        sides = {"maker": self.maker, "taker": self.taker}
        given = " and ".join(side for side, fee in sides.items() if fee is not None)
        listed = " and ".join(side for side, fee in sides.items() if fee is None)
        source = f"{given} as configured" + (f"; {listed}: {schedule}" if listed else "")
        return Fees(
            maker=maker if self.maker is None else self.maker,
            taker=taker if self.taker is None else self.taker,
            source=source if given else schedule,
        )
