"""Pages of klines: the text of whole blocks is kept, and a page is a slice of it.

A client pages through a year in a thousand requests; making each page anew would cost more than sending it.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache

from nt_run.demo.candles import Kind, Market
from nt_run.demo.text import Rows
from nt_run.model import Interval

_DAY_MS = 86_400_000
_BLOCK_MS = 4 * _DAY_MS
"""Length of a block; one candle where those are longer than half of it."""
_BLOCKS_KEPT = 24


class Pages:
    """Klines of one market and kind as JSON, page by page. Safe to use from several threads."""

    def __init__(self, market: Market, kind: Kind) -> None:
        self._market = market
        self._kind: Kind = kind
        self._block = lru_cache(_BLOCKS_KEPT)(self._make_block)

    def json(self, interval: Interval, start_ms: int | None, end_ms: int | None, *, limit: int, now_ms: int) -> bytes:
        """Return a list of at most `limit` klines whose open times lie in `[start_ms, end_ms]`, both included.

        With `start_ms` they are the first ones, without it the newest. The kline open at `now_ms` counts.
        """
        first = max(start_ms or 0, interval.floor(self._market.start_ms))
        last = now_ms if end_ms is None else min(end_ms + 1, now_ms)
        parts = self._collect(interval, (first, last), limit, now_ms, newest=start_ms is None)
        return b"[" + b"".join(bytes(part) for part in parts)[:-1] + b"]"

    def _collect(
        self,
        interval: Interval,
        bounds: tuple[int, int],
        limit: int,
        now_ms: int,
        *,
        newest: bool,
    ) -> list[Rows]:
        pieces = self._pieces(interval, *bounds, now_ms, newest=newest)
        parts: list[Rows] = []
        for piece in pieces:
            part = piece.tail(limit) if newest else piece.head(limit)
            parts.append(part)
            limit -= len(part)
            if not limit:
                break
        return parts[::-1] if newest else parts

    def _pieces(self, interval: Interval, first: int, last: int, now_ms: int, *, newest: bool) -> Iterator[Rows]:
        """Yield the klines that open in `[first, last)` block by block: all closed ones, then the open one."""
        open_ms = interval.floor(now_ms)
        closed = min(last, open_ms)
        if newest and first <= open_ms < last:
            yield self._forming(interval, open_ms, now_ms)
        numbers = range(interval.number(first), interval.number(interval.ceil(closed)))
        many = max(1, _BLOCK_MS // interval.ms)
        blocks: Iterable[int] = range(numbers.start // many, -(-numbers.stop // many))
        for block in reversed(list(blocks)) if newest else blocks:
            yield self._block(interval, block).between(first, closed)
        if not newest and first <= open_ms < last:
            yield self._forming(interval, open_ms, now_ms)

    def _make_block(self, interval: Interval, block: int) -> Rows:
        many = max(1, _BLOCK_MS // interval.ms)
        start, end = interval.opening(block * many), interval.opening((block + 1) * many)
        return self._market.candles(self._kind, start, end).aggregate(interval).json_rows()

    def _forming(self, interval: Interval, open_ms: int, now_ms: int) -> Rows:
        seen = self._market.candles(self._kind, open_ms, now_ms).as_of(now_ms)
        return seen.aggregate(interval).json_rows()
