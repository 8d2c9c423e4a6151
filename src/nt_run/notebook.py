"""What a notebook asks for besides a backtest: rules, klines, kept runs, a chart."""

from pathlib import Path

from nt_run import results
from nt_run.config import load_config
from nt_run.inputs import CACHE, open_market
from nt_run.klines import Klines
from nt_run.lens import shown
from nt_run.model import Interval
from nt_run.results import Run
from nt_run.specs import InstrumentSpecs


def load_specs(
    symbol: str = "BTCUSDT", *, demo: bool = False, offline: bool = False, cache_dir: Path | str = CACHE
) -> InstrumentSpecs:
    """Return the exchange's trading rules of a perpetual.

    Raises:
        DataError: The rules are out of reach, or the symbol is not a trading perpetual.
    """
    config = load_config(None, {"symbol": symbol, "demo": demo})
    with open_market(config, cache_dir=Path(cache_dir), offline=offline) as market:
        return market.load_specs(config.symbol).specs


def load_klines(
    symbol: str,
    interval: str,
    start: str,
    end: str,
    *,
    demo: bool = False,
    offline: bool = False,
    cache_dir: Path | str = CACHE,
) -> Klines:
    """Return complete klines of `[start, end)` (ISO 8601, UTC); `.floats()` is a polars frame for analysis.

    Raises:
        DataError: Bars are missing, wrong or out of reach.
    """
    config = load_config(None, {"symbol": symbol, "interval": interval, "start": start, "end": end, "demo": demo})
    with open_market(config, cache_dir=Path(cache_dir), offline=offline) as market:
        return shown(market.load_klines(config.symbol, Interval(interval), config.time_range(0)).klines)


def load_run(run: str | Path | None = None, *, cache_dir: Path | str = CACHE) -> Run:
    """Return a kept run by id, start of an id or folder; the latest one by default.

    Raises:
        ResultsError: There is no such run, or it is damaged.
    """
    return results.load_run(run, Path(cache_dir) / "runs")


def plot(run: Run, save: Path | str | None = None) -> None:
    """Show the chart of a run in a window, or save it: as a page to `*.html`, as a picture to `*.png`.

    Files need no screen. Without one and without a name, the page is written into the run's folder.

    Raises:
        ChartError: It cannot be drawn here; the message names another way.
    """
    from nt_run.chart.draw import Picture, draw  # noqa: PLC0415 - the screen is loaded only for a chart

    path = None if save is None else Path(save)
    if path is not None and path.suffix.lower() == ".html":
        draw(run, page=path)
    else:
        draw(run, png=None if path is None else Picture(path))
