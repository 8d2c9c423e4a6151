"""The archive protocol: monthly and daily zips with checksums, published when the exchange would publish them.

A daily file appears the next day about 08:35 UTC, a monthly one on the first Monday of the next month. What is not
there is answered as the archive's object store does: 404 with a short XML text. Zips are the same bytes every time.
"""

import datetime as dt
import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from email.utils import format_datetime
from functools import lru_cache
from itertools import product
from typing import NamedTuple, cast

from nt_run.demo.answers import Answer, Clock
from nt_run.demo.candles import Candles, Kind, Market
from nt_run.demo.text import CSV_HEADER
from nt_run.intervals import INTERVALS
from nt_run.model import Interval

type Amendment = Callable[[Candles], Candles]
"""Takes the candles a file would hold and returns those it shall hold."""

_ROOT = "data/futures/um"
_FUNDING_HEADER = "calc_time,funding_interval_hours,last_funding_rate\n"
_PUBLISHED_AT = dt.timedelta(hours=8, minutes=35)
_DAY = dt.timedelta(days=1)
_KEY = re.compile(
    r"/?data/futures/um/(?P<pace>monthly|daily)/(?:"
    r"(?P<kind>klines|markPriceKlines)/(?P<symbol>\w+)/(?P<interval>\w+)/(?P=symbol)-(?P=interval)|"
    r"fundingRate/(?P<funded>\w+)/(?P=funded)-fundingRate"
    r")-(?P<year>\d{4})-(?P<month>\d\d)(?:-(?P<day>\d\d))?\.zip(?P<checksum>\.CHECKSUM)?"
)
_ZIPS_KEPT = 4
# A zip without the clock of the machine that made it.
_STAMP = (2025, 1, 1, 0, 0, 0)


class _File(NamedTuple):
    """One file of the archive: its content's `[start, end)` and when it was published."""

    name: str
    symbol: str
    kind: str
    interval: str
    start: dt.datetime
    end: dt.datetime

    @property
    def pace(self) -> str:
        """Whether it holds a month or a day."""
        return "daily" if self.end - self.start == _DAY else "monthly"

    @property
    def published(self) -> dt.datetime:
        """The day after a daily file's day; the first Monday after a monthly file's month."""
        if self.pace == "daily":
            return self.end + _PUBLISHED_AT
        return self.end + _DAY * (-self.end.weekday() % 7) + _PUBLISHED_AT


class Archive:
    """The files of `markets` by symbol that are published at the time `clock` tells."""

    def __init__(self, markets: Mapping[str, Market], clock: Clock) -> None:
        self._markets = markets
        self._clock = clock
        self._amendments: list[tuple[str, Amendment, int]] = []
        self._zip = lru_cache(_ZIPS_KEPT)(self._make_zip)

    def amend(self, match: str, change: "Amendment") -> None:
        """Make klines files whose key contains `match` from changed candles from now on, checksums included."""
        self._amendments.append((match, change, self._clock()))
        self._zip.cache_clear()

    def answer(self, path: str) -> Answer:
        """Return the file at `path`, or the object store's 404."""
        match = _KEY.fullmatch(path)
        file = _parse(match) if match else None
        content = self._zip(file) if file and self._is_published(file) else None
        if match is None or file is None or content is None:
            return _not_found(path.lstrip("/"))
        body, content_type = content, "application/zip"
        if match["checksum"]:
            body, content_type = f"{hashlib.sha256(content).hexdigest()}  {file.name}.zip\n".encode(), "text/plain"
        headers = {
            "ETag": f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"',
            "Last-Modified": format_datetime(self._modified(file), usegmt=True),
        }
        return Answer(body, content_type=content_type, headers=headers)

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys that may begin with `prefix`, in their order; not each has a file that is published."""
        for folder, market, names in self._folders():
            if folder.startswith(prefix) or prefix.startswith(folder):
                for name in (f"{names}-{period}.zip" for period in _periods(folder, market.start_ms, self._clock())):
                    yield from (
                        key for key in (f"{folder}{name}", f"{folder}{name}.CHECKSUM") if key.startswith(prefix)
                    )

    def _folders(self) -> list[tuple[str, Market, str]]:
        """Every folder of files, with the market and the beginning of the files' names."""
        intervals = [Interval(each).file_name for each in INTERVALS]
        found = [
            (f"{_ROOT}/{pace}/{kind}/{symbol}/{interval}/", market, f"{symbol}-{interval}")
            for pace, kind, interval in product(("daily", "monthly"), ("klines", "markPriceKlines"), intervals)
            for symbol, market in self._markets.items()
        ]
        found += [
            (f"{_ROOT}/monthly/fundingRate/{symbol}/", market, f"{symbol}-fundingRate")
            for symbol, market in self._markets.items()
        ]
        return sorted(found, key=lambda one: one[0])

    def _modified(self, file: _File) -> dt.datetime:
        """When a file was last written: published, or replaced since."""
        replaced = [at for match, _, at in self._amendments if match in _amended_name(file)]
        return max([file.published, *(dt.datetime.fromtimestamp(at // 1000, dt.UTC) for at in replaced)])

    def _is_published(self, file: _File) -> bool:
        return _ms(file.published) <= self._clock()

    def _make_zip(self, file: _File) -> bytes | None:
        market = self._markets.get(file.symbol)
        if market is None:
            return None
        text = _funding(market, file) if file.kind == "fundingRate" else self._klines(market, file)
        if text is None:
            return None
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            member = zipfile.ZipInfo(f"{file.name}.csv", _STAMP)
            member.external_attr = 0o644 << 16
            archive.writestr(member, text, zipfile.ZIP_DEFLATED, compresslevel=1)
        return content.getvalue()

    def _klines(self, market: Market, file: _File) -> bytes | None:
        interval = next((each for each in map(Interval, INTERVALS) if each.file_name == file.interval), None)
        if interval is None or not interval.is_made_of(market.interval):
            return None
        if file.pace == "daily" and interval.ms > _DAY // dt.timedelta(milliseconds=1):
            return None
        start, end = interval.ceil(_ms(file.start)), interval.ceil(_ms(file.end))
        candles = market.candles(cast("Kind", file.kind), start, end).aggregate(interval)
        for match, change, _ in self._amendments:
            candles = change(candles) if match in _amended_name(file) else candles
        return CSV_HEADER + bytes(candles.csv_rows()) if len(candles) else None


def _parse(match: re.Match[str]) -> _File | None:
    """Return the file a key names, `None` if there can be no such file."""
    daily = match["pace"] == "daily"
    if daily != (match["day"] is not None) or (daily and match["kind"] is None):
        return None
    try:
        start = dt.datetime(int(match["year"]), int(match["month"]), int(match["day"] or 1), tzinfo=dt.UTC)
        end = start + _DAY if daily else (start + 31 * _DAY).replace(day=1)
    except (ValueError, OverflowError):
        return None
    name = match[0].rpartition("/")[2].removesuffix(".CHECKSUM").removesuffix(".zip")
    kind = match["kind"] or "fundingRate"
    return _File(name, match["symbol"] or match["funded"], kind, match["interval"] or "", start, end)


def _amended_name(file: _File) -> str:
    return f"{file.pace}/{file.kind}/{file.name}"


def _periods(folder: str, start_ms: int, now_ms: int) -> Iterator[str]:
    """The days or months, as files have them in their names, from a market's first one to the present one."""
    day = dt.datetime.fromtimestamp(start_ms // 1000, dt.UTC).date()
    last = dt.datetime.fromtimestamp(now_ms // 1000, dt.UTC).date()
    daily = folder.startswith(f"{_ROOT}/daily/")
    day = day if daily else day.replace(day=1)
    while day <= last:
        yield f"{day:%Y-%m-%d}" if daily else f"{day:%Y-%m}"
        day = day + _DAY if daily else (day + 31 * _DAY).replace(day=1)


def _funding(market: Market, file: _File) -> bytes | None:
    rows = market.funding(_ms(file.start), _ms(file.end))
    lines = [f"{row.time_ms},{market.funding_hours},{row.rate:.8f}\n" for row in rows]
    return (_FUNDING_HEADER + "".join(lines)).encode() if lines else None


def _ms(moment: dt.datetime) -> int:
    return int(moment.timestamp()) * 1000


def _not_found(key: str) -> Answer:
    # A key is cut to its safe characters before it is put into XML.
    key = re.sub(r"[^\w./-]", "", key)
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>"
        f"<Key>{key}</Key></Error>"
    )
    return Answer(text.encode(), 404, "application/xml")
