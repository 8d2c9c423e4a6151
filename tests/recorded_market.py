"""The recorded years of BTCUSDT, as an exchange serves them."""

from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow.feather

from nt_run.demo import RecordedMarket
from nt_run.model import FundingRate

_HOUR = 3_600_000


def recorded(recordings: Path, name: str, kind: str = "klines") -> pl.DataFrame:
    """A file of klines as `RecordedMarket` takes them."""
    frame = pl.DataFrame(pl.from_arrow(pyarrow.feather.read_table(recordings / kind / name)))
    return frame.rename({"date": "open_time"})


def recorded_funding(recordings: Path) -> list[FundingRate]:
    """All settlements; as of the archive they have no mark prices."""
    rows = recorded(recordings, "BTCUSDT-2019-2026.feather", "funding")
    return [
        FundingRate(
            time_ms=t, slot_ms=t // _HOUR * _HOUR, rate=Decimal(str(rate)).quantize(Decimal("1e-8")), mark_price=None
        )
        for t, rate in zip(rows["open_time"].dt.epoch("ms"), rows["open"], strict=True)
    ]


def recorded_hours(recordings: Path) -> RecordedMarket:
    """Hours from September 2019 to May 2026, with the mark prices there were from December 2019 on."""
    return RecordedMarket(
        "BTCUSDT",
        recorded(recordings, "BTCUSDT-1h-2019-2026.feather"),
        interval="1h",
        mark=recorded(recordings, "BTCUSDT-1h-mark-2019-2026.feather", "mark"),
        funding=recorded_funding(recordings),
    )
