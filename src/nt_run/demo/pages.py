"""Pages of klines: the text of whole blocks is kept, and a page is a slice of it.

A client pages through a year in a thousand requests; making each page anew would cost more than sending it.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache

from nt_run.demo.candles import Kind, Market
from nt_run.demo.text import Rows

_DAY_MS = 86_400_000
_BLOCK_MS = 4 * _DAY_MS
_BLOCKS_KEPT = 24


class Pages:
    """Klines of one market and kind as JSON, page by page. Safe to use from several threads."""

    def __init__(self, market: Market, kind: Kind) -> None:
        self._market = market
        self._kind: Kind = kind
        self._block = lru_cache(_BLOCKS_KEPT)(self._make_block)

    def json(self, step_ms: int, start_ms: int | None, end_ms: int | None, *, limit: int, now_ms: int) -> bytes:
        """Return a list of at most `limit` klines whose open times lie in `[start_ms, end_ms]`, both included.

        With `start_ms` they are the first ones, without it the newest. The kline open at `now_ms` counts.
        """
        first = max(start_ms or 0, self._market.start_ms // step_ms * step_ms)
        last = now_ms if end_ms is None else min(end_ms + 1, now_ms)
        parts = self._collect(step_ms, (first, last), limit, now_ms, newest=start_ms is None)
        return b"[" + b"".join(bytes(part) for part in parts)[:-1] + b"]"

    def _collect(
        self,
        step_ms: int,
        bounds: tuple[int, int],
        limit: int,
        now_ms: int,
        *,
        newest: bool,
    ) -> list[Rows]:
        pieces = self._pieces(step_ms, *bounds, now_ms, newest=newest)
        parts: list[Rows] = []
        for piece in pieces:
            part = piece.tail(limit) if newest else piece.head(limit)
            parts.append(part)
            limit -= len(part)
            if not limit:
                break
        return parts[::-1] if newest else parts

    def _pieces(self, step_ms: int, first: int, last: int, now_ms: int, *, newest: bool) -> Iterator[Rows]:
        """Yield the klines that open in `[first, last)` block by block: all closed ones, then the open one."""
        open_ms = now_ms // step_ms * step_ms
        closed = min(last, open_ms)
        if newest and first <= open_ms < last:
            yield self._forming(step_ms, open_ms, now_ms)
        blocks: Iterable[int] = range(first // _BLOCK_MS, -(-closed // _BLOCK_MS))
        for block in reversed(list(blocks)) if newest else blocks:
            yield self._block(step_ms, block).between(first, closed)
        if not newest and first <= open_ms < last:
            yield self._forming(step_ms, open_ms, now_ms)

    def _make_block(self, step_ms: int, block: int) -> Rows:
        candles = self._market.candles(self._kind, block * _BLOCK_MS, (block + 1) * _BLOCK_MS)
        return candles.aggregate(step_ms).json_rows()

    def _forming(self, step_ms: int, open_ms: int, now_ms: int) -> Rows:
        seen = self._market.candles(self._kind, open_ms, now_ms).as_of(now_ms)
        return seen.aggregate(step_ms).json_rows()
