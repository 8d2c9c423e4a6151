"""What the synthetic market goes through: regimes, hours of the day, and the contracts. Invented, not measured."""

from typing import NamedTuple


class Regime(NamedTuple):
    """A stretch of days of one character; `volatility` is per day, as a fraction."""

    character: str
    days: int
    volatility: float


class Contract(NamedTuple):
    """One symbol; `prices` (quote asset) are its first price and the last one of each regime."""

    symbol: str
    tick: int
    """Tick size in hundredths of the quote asset."""
    volatility: float
    """Relative to the regime's."""
    shared: float
    """Correlation with the market as a whole."""
    volume: float
    """Base units in a usual minute."""
    trades: float
    """Trades of a minute that turns over one base unit."""
    prices: tuple[float, ...]


REGIMES = (
    Regime("trend", 30, 0.020),
    Regime("range", 25, 0.022),
    Regime("crash", 3, 0.055),
    Regime("range", 30, 0.028),
    Regime("trend", 50, 0.019),
    Regime("calm", 40, 0.013),
    Regime("trend", 25, 0.018),
    Regime("range", 45, 0.017),
    Regime("trend", 20, 0.020),
    Regime("crash", 2, 0.065),
    Regime("range", 25, 0.026),
    Regime("trend", 40, 0.025),
    Regime("calm", 45, 0.014),
    Regime("range", 30, 0.020),
    Regime("crash", 4, 0.055),
    Regime("range", 50, 0.027),
    Regime("trend", 30, 0.020),
    Regime("calm", 25, 0.014),
    Regime("range", 30, 0.021),
)

HOURLY = (
    *(1.10, 1.05, 0.94, 0.84, 0.78, 0.75, 0.77, 0.84),
    *(0.88, 0.85, 0.82, 0.84, 0.95, 1.20, 1.38, 1.30),
    *(1.20, 1.12, 1.08, 1.02, 0.95, 0.93, 0.97, 1.05),
)
"""Volatility at each full hour UTC, relative: quiet while Europe wakes, loud when New York opens."""

CONTRACTS = {
    contract.symbol: contract
    for contract in (
        Contract(
            symbol="BTCUSDT",
            tick=10,
            volatility=1.0,
            shared=1.0,
            volume=85.0,
            trades=55.0,
            prices=(
                *(93_500, 103_000, 97_500, 85_000, 86_500, 104_500, 107_000, 116_500, 112_000, 119_500),
                *(107_000, 110_000, 89_000, 91_000, 85_500, 70_500, 74_500, 87_500, 89_000, 94_000),
            ),
        ),
        Contract(
            symbol="ETHUSDT",
            tick=1,
            volatility=1.4,
            shared=0.85,
            volume=1500.0,
            trades=14.0,
            prices=(
                *(3_340, 3_300, 2_720, 2_250, 1_980, 2_520, 2_600, 3_650, 4_300, 4_550),
                *(3_850, 3_900, 2_950, 3_050, 2_800, 2_050, 2_180, 2_780, 2_850, 3_100),
            ),
        ),
    )
}
"""The synthetic contracts by symbol."""
