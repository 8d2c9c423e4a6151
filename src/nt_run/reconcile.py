"""The books' trades beside the engine's positions, one by one: a difference names the trade it came from. Pure."""

from collections.abc import Sequence

from nt_run.accounting import TOLERANCE, Trade, rounding_bound
from nt_run.errors import BooksError
from nt_run.model import MS, BookedTrade, format_time

_OPEN = 2**63
"""Sorts an open trade behind every closed one."""


def reconcile_trades(trades: Sequence[Trade], booked: Sequence[BookedTrade]) -> None:
    """Check that each trade made what the engine realised with it.

    Args:
        trades: All trades of the run, the open one included.
        booked: The engine's positions, in any order; several may open and close at one instant.

    Raises:
        BooksError: The PnL of a trade differs by more than 1e-8 and by more than its averaged entry explains, or only
            one side has it. It names the first such trade.
    """
    ours = sorted((each.entry_time_ns, each.exit_time_ns or _OPEN, each.pnl, at) for at, each in enumerate(trades))
    theirs = sorted((each.entry_time_ns, each.exit_time_ns or _OPEN, each.pnl) for each in booked)
    for (entry, leave, pnl, at), (their_entry, their_leave, their_pnl) in zip(ours, theirs, strict=False):
        if (entry, leave) != (their_entry, their_leave):
            missing = (entry, leave) < (their_entry, their_leave)
            raise _error(*((entry, f"{pnl:.10f}", "missing") if missing else (their_entry, "none", f"{their_pnl:f}")))
        if abs(pnl - their_pnl) > TOLERANCE + rounding_bound(trades[at]):
            raise _error(entry, f"{pnl:.10f}", f"{their_pnl:f}")
    if len(ours) > len(theirs):
        entry, _, pnl, _ = ours[len(theirs)]
        raise _error(entry, f"{pnl:.10f}", "missing")
    if len(theirs) > len(ours):
        entry, _, pnl = theirs[len(ours)]
        raise _error(entry, "none", f"{pnl:f}")


def _error(entry_time_ns: int, expected: str, found: str) -> BooksError:
    return BooksError(f"the PnL of the trade entered {format_time(entry_time_ns // MS)}", expected, found)
