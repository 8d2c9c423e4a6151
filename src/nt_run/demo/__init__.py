"""The embedded exchange: a loopback server that speaks the exchange's REST and archive protocols.

Its market is synthetic, the same for everybody, and says so in a header of every answer. Tests plug in recorded
markets and switch faults on.
"""

from typing import TYPE_CHECKING, Any

from nt_run.demo.faults import Fault
from nt_run.demo.market import DEMO_NOW_MS, DEMO_START_MS, SyntheticMarket
from nt_run.demo.server import MARKER, DemoExchange, Served

if TYPE_CHECKING:
    from nt_run.demo.recorded import RecordedMarket

__all__ = [
    "DEMO_NOW_MS",
    "DEMO_START_MS",
    "MARKER",
    "DemoExchange",
    "Fault",
    "RecordedMarket",
    "Served",
    "SyntheticMarket",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 (a module's attribute can be anything)
    # Recordings need polars; the demo itself does not.
    if name == "RecordedMarket":
        from nt_run.demo.recorded import RecordedMarket  # noqa: PLC0415 (lazy on purpose)

        return RecordedMarket
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
