"""The synthetic exchange's exchangeInfo answer, in the exchange's own form.

BTCUSDT and ETHUSDT trade. A delivery contract and a perpetual being settled are listed too, because a client has to
refuse them with a good message. Field names and their order follow the exchange; the rules are invented in its manner.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from nt_run.demo.market import DEMO_START_MS

WEIGHT_LIMIT = 2400
"""Request weight a minute and address may spend, as on the exchange."""

_FOREVER_MS = 4_133_404_800_000  # 2100-12-25 08:00, the exchange's delivery date of contracts that never end
_DELIVERY_MS = int(dt.datetime(2026, 9, 25, 8, tzinfo=dt.UTC).timestamp() * 1000)
_LISTED_MS = int(dt.datetime(2026, 3, 27, 8, tzinfo=dt.UTC).timestamp() * 1000)
_SETTLED_MS = int(dt.datetime(2026, 6, 24, 9, tzinfo=dt.UTC).timestamp() * 1000)


def build_exchange_info(now_ms: int, weight_limit: int = WEIGHT_LIMIT) -> dict[str, Any]:
    """Return the exchangeInfo answer at `now_ms`, ready for JSON."""
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "futuresType": "U_MARGINED",
        "rateLimits": [
            _rate_limit("REQUEST_WEIGHT", "MINUTE", 1, weight_limit),
            _rate_limit("ORDERS", "MINUTE", 1, 1200),
            _rate_limit("ORDERS", "SECOND", 10, 300),
        ],
        "exchangeFilters": [],
        "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
        "symbols": [
            _contract("BTC", _filters("0.10", ("556.80", "4529764"), "0.001", ("1000", "120"), "50")),
            _contract("ETH", _filters("0.01", ("39.86", "306177"), "0.001", ("10000", "2000"), "20")),
            _contract(
                "MATIC",
                _filters("0.0001", ("0.0106", "1000"), "1", ("10000000", "1000000"), "5"),
                status="SETTLING",
                deliveryDate=_SETTLED_MS,
                pricePrecision=5,
                quantityPrecision=0,
            ),
            _contract(
                "BTC",
                _filters("0.1", ("576.3", "1000000"), "0.001", ("500", "1"), "5"),
                symbol="BTCUSDT_260925",
                contractType="CURRENT_QUARTER",
                deliveryDate=_DELIVERY_MS,
                onboardDate=_LISTED_MS,
                pricePrecision=1,
            ),
        ],
    }


def _contract(base: str, filters: Sequence[Mapping[str, Any]], **differs: object) -> dict[str, Any]:
    """Return one entry of `symbols`: a perpetual that trades, but for what `differs`."""
    entry = {
        "symbol": f"{base}USDT",
        "pair": f"{base}USDT",
        "contractType": "PERPETUAL",
        "deliveryDate": _FOREVER_MS,
        "onboardDate": DEMO_START_MS,
        "status": "TRADING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": base,
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": 2,
        "quantityPrecision": 3,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10000,
        "filters": list(filters),
        "orderTypes": [
            "LIMIT",
            "MARKET",
            "STOP",
            "STOP_MARKET",
            "TAKE_PROFIT",
            "TAKE_PROFIT_MARKET",
            "TRAILING_STOP_MARKET",
        ],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        "permissionSets": ["GRID", "COPY", "DCA"],
    }
    return {**entry, **differs}


def _filters(
    tick: str,
    prices: tuple[str, str],
    step: str,
    most: tuple[str, str],
    notional: str,
) -> list[dict[str, Any]]:
    """Return the filters of a contract; `prices` are the least and the greatest, `most` is for limit and market."""
    return [
        {"filterType": "PRICE_FILTER", "minPrice": prices[0], "maxPrice": prices[1], "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": step, "maxQty": most[0], "stepSize": step},
        {"filterType": "MARKET_LOT_SIZE", "minQty": step, "maxQty": most[1], "stepSize": step},
        {"filterType": "MAX_NUM_ORDERS", "limit": 200},
        {"filterType": "MIN_NOTIONAL", "notional": notional},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": "1.0500",
            "multiplierDown": "0.9500",
            "multiplierDecimal": "4",
        },
        {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
    ]


def _rate_limit(kind: str, interval: str, count: int, limit: int) -> dict[str, Any]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": count, "limit": limit}
