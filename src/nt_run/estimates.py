"""What sizing estimates from the past of the run: volatility from its closes, an edge from its closed trades. Pure."""

import math
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

_YEAR_MS = 365 * 86_400_000
_DIGITS = Decimal("1e-12")


def realised_volatility(closes: Sequence[float], interval_ms: int) -> Decimal | None:
    """Return the annualised volatility of closes, a fraction; `None` where it is not known.

    σ = √(mean of squared log returns × bars a year), 365 days: the mean return is taken as zero, as is usual for short
    windows. Fewer than two closes, or closes that never moved, tell nothing.
    """
    returns = [math.log(after / before) for before, after in pairwise(closes)]
    squares = math.fsum(each * each for each in returns)
    if squares <= 0:
        return None
    found = Decimal(math.sqrt(squares / len(returns) * _YEAR_MS / interval_ms)).quantize(_DIGITS)
    return found if found > 0 else None


def kelly_share(returns: Sequence[Decimal], fraction: Decimal, cap: Decimal) -> Decimal:
    """Return the share of equity to put into a position by a fraction of Kelly's bet; 0 where there is no edge.

    Kelly's bet is f = p − (1 − p) ÷ b of equity, with p the share of winning trades and b the average win over the
    average loss, and what is bet is an average loss: share = fraction × f ÷ average loss. Where nothing was lost yet,
    the cap is all there is to go by.

    Args:
        returns: What each closed trade came to, fees included, as a fraction of its notional.
        fraction: Part of Kelly's bet: 0.5 is half Kelly.
        cap: The largest share.
    """
    wins = [each for each in returns if each > 0]
    losses = [-each for each in returns if each < 0]
    if not wins:
        return Decimal(0)
    if not losses:
        return cap
    win, loss = sum(wins, Decimal(0)) / len(wins), sum(losses, Decimal(0)) / len(losses)
    # A trade that came to nothing is neither won nor lost, but it is one of them.
    bet = (len(wins) - len(losses) * loss / win) / len(returns)
    return min(max(fraction * bet / loss, Decimal(0)), cap)
