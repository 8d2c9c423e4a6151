"""The REST protocol of USDⓈ-M futures, as far as market data goes: a path and a query become an answer.

Limits, defaults, weights, refusals and the inclusive `endTime` are the exchange's. So is a trap: `klines` returns the
candle that is still open.
"""

from collections.abc import Callable, Mapping
from typing import Any, get_args

from nt_run.demo.answers import Answer, Clock, Query, RefusedError, invalid, missing, to_json, whole
from nt_run.demo.candles import Kind, Market
from nt_run.demo.pages import Pages
from nt_run.intervals import INTERVALS
from nt_run.model import FundingRate, Interval

_DAY_MS = 86_400_000
_KLINES_DEFAULT, _KLINES_MOST = 500, 1500
_FUNDING_DEFAULT, _FUNDING_RECENT, _FUNDING_MOST = 100, 200, 1000
_WEIGHTS = ((100, 1), (500, 2), (1001, 5))
_WEIGHT_MOST = 10
_ALL_SYMBOLS_WEIGHT = 10


class RestApi:
    """The endpoints under `/fapi/v1/`, over `markets` by symbol, at the time `clock` tells.

    `exchange_info` returns the answer at a time; symbols it lists without a market are known but have no data.
    """

    def __init__(
        self,
        markets: Mapping[str, Market],
        exchange_info: Callable[[int], Mapping[str, Any]],
        clock: Clock,
    ) -> None:
        self._markets = markets
        self._exchange_info = exchange_info
        self._clock = clock
        self._pages = {(symbol, kind): Pages(market, kind) for symbol, market in markets.items() for kind in _KINDS}
        self._endpoints: dict[str, Callable[[Query], Answer]] = {
            "ping": lambda _: Answer(b"{}", weight=1),
            "time": lambda _: Answer(to_json({"serverTime": clock()}), weight=1),
            "exchangeInfo": lambda _: Answer(to_json(exchange_info(clock())), weight=1),
            "klines": lambda query: self._klines("klines", query),
            "markPriceKlines": lambda query: self._klines("markPriceKlines", query),
            "fundingRate": self._funding_rate,
            "fundingInfo": lambda _: Answer(to_json(self._funding_info())),
            "premiumIndex": self._premium_index,
        }

    def answer(self, path: str, query: Query) -> Answer:
        """Return the exchange's answer to a GET of `path`; a refusal is an answer too."""
        endpoint = self._endpoints.get(path.removeprefix("/fapi/v1/"))
        if endpoint is None:
            return RefusedError(-5000, f"Path {path}, Method GET is invalid", 404).answer
        try:
            return endpoint(query)
        except RefusedError as exc:
            return exc.answer

    def _klines(self, kind: Kind, query: Query) -> Answer:
        market = self._market(query, required=True)
        interval = query.get("interval")
        if not interval:
            raise missing("interval")
        if interval not in INTERVALS or (market and not Interval(interval).is_made_of(market.interval)):
            raise RefusedError(-1120, "Invalid interval.")
        limit = _limit(query, _KLINES_DEFAULT, _KLINES_MOST)
        start, end = _times(query)
        weight = next((cost for below, cost in _WEIGHTS if limit < below), _WEIGHT_MOST)
        if market is None:
            return Answer(b"[]", weight=weight)
        pages = self._pages[market.symbol, kind]
        return Answer(pages.json(Interval(interval), start, end, limit=limit, now_ms=self._clock()), weight=weight)

    def _funding_rate(self, query: Query) -> Answer:
        market = self._market(query, required=False)
        limit = whole(query, "limit")
        if limit is not None and limit > _FUNDING_MOST:
            # This endpoint has an error body of its own kind.
            problem = {"limit": f"limit can not greater than {_FUNDING_MOST}"}
            body = {"status": "ERROR", "type": "VALID", "code": "000002", "errorData": problem}
            return Answer(to_json({**body, "data": None, "subData": None, "params": None}), 400)
        start, end = _times(query)
        now = self._clock()
        until = now if end is None else min(end, now)
        markets = [market] if market else [] if "symbol" in query else list(self._markets.values())
        rows = [(each.symbol, row) for each in markets for row in each.funding(start or 0, until + 1)]
        rows.sort(key=lambda pair: pair[1].time_ms)
        if start is None:
            rows = rows[-(limit or (_FUNDING_RECENT if end is None else _FUNDING_DEFAULT)) :]
        else:
            rows = rows[: limit or _FUNDING_DEFAULT]
        return Answer(to_json([_funding_row(*row) for row in rows]))

    def _funding_info(self) -> list[dict[str, Any]]:
        """Only contracts whose interval, cap or floor was adjusted are listed."""
        return [
            {
                "symbol": market.symbol,
                "adjustedFundingRateCap": "0.02000000",
                "adjustedFundingRateFloor": "-0.02000000",
                "fundingIntervalHours": market.funding_hours,
                "disclaimer": False,
                "updateTime": market.start_ms,
            }
            for market in self._markets.values()
            if market.funding_hours != 8  # noqa: PLR2004 (the exchange's usual interval)
        ]

    def _premium_index(self, query: Query) -> Answer:
        if "symbol" not in query:
            return Answer(
                to_json([self._premium(market) for market in self._markets.values()]), weight=_ALL_SYMBOLS_WEIGHT
            )
        market = self._market(query, required=True)
        if market is None:
            raise RefusedError(-1122, "Invalid symbol status.")
        return Answer(to_json(self._premium(market)), weight=1)

    def _premium(self, market: Market) -> dict[str, Any]:
        now = self._clock()
        # The newest candle may be older than one step where a recording has a hole or has ended.
        seen = market.candles("markPriceKlines", now - market.interval.ms - _DAY_MS, now + 1).as_of(now)
        price = f"{int(seen.close[-1]) / 10 ** seen.decimals[0]:.8f}" if len(seen) else "0.00000000"
        slot = market.funding_hours * 3_600_000
        last = market.funding(now - 2 * slot, now + 1)
        return {
            "symbol": market.symbol,
            "markPrice": price,
            "indexPrice": price,
            "estimatedSettlePrice": price,
            "lastFundingRate": f"{last[-1].rate:.8f}" if last else "0.00000000",
            "interestRate": "0.00010000",
            "nextFundingTime": (now // slot + 1) * slot,
            "time": now,
        }

    def _market(self, query: Query, *, required: bool) -> Market | None:
        """Return the market of the query's symbol; `None` if it is listed without one, or not named."""
        symbol = query.get("symbol", "")
        if not symbol:
            if required:
                raise missing("symbol")
            return None
        market = self._markets.get(symbol)
        if market is None and all(entry["symbol"] != symbol for entry in self._exchange_info(0)["symbols"]):
            raise RefusedError(-1121, "Invalid symbol.")
        return market


_KINDS: tuple[Kind, ...] = get_args(Kind)


def _limit(query: Query, usual: int, most: int) -> int:
    limit = whole(query, "limit")
    if limit is None:
        return usual
    if not 0 < limit <= most:
        raise invalid("limit")
    return limit


def _times(query: Query) -> tuple[int | None, int | None]:
    start, end = whole(query, "startTime"), whole(query, "endTime")
    if start is not None and end is not None and start > end:
        raise RefusedError(-1023, "Start time is greater than end time.")
    return start, end


def _funding_row(symbol: str, row: FundingRate) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "fundingTime": row.time_ms,
        "fundingRate": f"{row.rate:.8f}",
        # Settlements of the first years carry no price.
        "markPrice": "" if row.mark_price is None else f"{row.mark_price:.8f}",
    }
