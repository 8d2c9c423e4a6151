import pytest

from nt_run.engine.collect import plain_reason


@pytest.mark.parametrize(
    ("reason", "plain"),
    [
        ("NOTIONAL_BELOW_MINIMUM: min=5.00000000 USDT, notional=0.99000000 USDT", "notional below minimum"),
        ("INITIAL_MARGIN_EXCEEDS_FREE_BALANCE: free=9.1 USDT, margin=20 USDT", "initial margin exceeds free balance"),
        ("No market for BTCUSDT-PERP.BINANCE", "No market for BTCUSDT-PERP.BINANCE"),
        (
            "Reduce-only order O-20240101-000100-001-000-7 (STOP_MARKET-SELL) would have increased position",
            "Reduce-only order … (STOP_MARKET-SELL) would have increased position",
        ),
    ],
)
def test_equal_reasons_read_the_same(reason: str, plain: str) -> None:
    assert plain_reason(reason) == plain
