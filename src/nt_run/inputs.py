"""What a run reads from the market: the exchange it asks, the folder it keeps, rules, range, klines and funding."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from nt_run.config import ARCHIVE_LIST_URL, ARCHIVE_URL, REST_URL, RunConfig
from nt_run.data.credentials import Credentials
from nt_run.data.loader import LoadedFunding, LoadedKlines, LoadedSpecs, MarketData
from nt_run.data.rules import aged, load_changes
from nt_run.data.selection import names_in
from nt_run.errors import NotCachedError, SourceError, UsageError
from nt_run.klines import DAY_MS
from nt_run.liquidation import brackets_object
from nt_run.margining import MarginInputs, load_brackets, load_margin
from nt_run.model import Interval, TimeRange, format_iso, parse_symbol
from nt_run.progress import ProgressDisplay
from nt_run.specs import TODAY
from nt_run.summary import data_object, exchange_warning, specs_object

CACHE = Path("data_cache")
KINDS = ("klines", "funding", "mark")
"""What can be fetched; `mark` are mark price klines."""
DEMO_WEIGHT = 1_000_000
"""Request weight a minute: nobody waits for an exchange that is his own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Everything a run reads from the market."""

    time_range: TimeRange
    specs: LoadedSpecs
    klines: LoadedKlines
    funding: LoadedFunding
    margin: MarginInputs
    remarks: Sequence[str] = ()
    """What to tell of the sources as such."""

    @property
    def warnings(self) -> list[str]:
        """What the sources had to say."""
        loaded = (self.specs, self.klines, self.funding, self.margin)
        return [*(text for one in loaded for text in one.warnings), *self.remarks]

    def data(self) -> dict[str, Any]:
        """Return what is certified about the data as one object."""
        return data_object(self.klines.certificate) | {
            "mark_fingerprint": self.margin.mark_fingerprint,
            "missing_settlements": [one.as_object() for one in self.funding.missing],
        }


def load_inputs(market: MarketData, config: RunConfig, progress: ProgressDisplay | None = None) -> Inputs:
    """Load rules, klines and funding rates of a run's range.

    Raises:
        DataError: Something is missing, wrong or out of reach.
        SizingError: The leverage is more than the contract's brackets allow.
    """
    time_range = load_range(market, config)
    specs = _of_today(market.load_run_specs(config.symbol, config.specs.at, time_range), market, config)
    brackets = load_brackets(market, config, time_range.end_ms)
    klines = market.load_klines(
        config.symbol, Interval(config.interval), time_range, min_completeness=float(config.min_completeness)
    )
    funding = _load_funding(market, config, time_range)
    margin = load_margin(market, config, brackets, klines.klines, funding.rates)
    if progress is not None:
        sources = ", ".join(f"{kind} {share:.0%}" for kind, share in klines.certificate.sources.items())
        progress.detail(f"rules {specs.snapshot}, as of {format_iso(specs.specs.as_of_ms)} from {specs.specs.source}")
        progress.detail(f"klines {time_range}: {len(klines.klines):,} from {sources}, {market.root}")
        progress.detail(f"funding: {len(funding.rates):,} settlements" if config.funding else "funding: none charged")
    told = market.remarks()
    return Inputs(time_range=time_range, specs=specs, klines=klines, funding=funding, margin=margin, remarks=told)


def _load_funding(market: MarketData, config: RunConfig, time_range: TimeRange) -> LoadedFunding:
    """Load the settlements of a run; one that charges none has no need of them."""
    if not config.funding:
        return LoadedFunding(rates=[], warnings=[])
    # Positions are held from the first open up to the last close: the settlement at the end is theirs, the one at the
    # start is not.
    held = TimeRange(time_range.start_ms + 1, time_range.end_ms + 1)
    return market.load_settlements(config.symbol, held, min_completeness=float(config.min_completeness))


@contextmanager
def open_market(
    config: RunConfig, *, cache_dir: Path, offline: bool, progress: ProgressDisplay | None = None
) -> Generator[MarketData]:
    """Open the market a configuration names; the demo's exchange lives as long as the context."""
    root = market_root(config, cache_dir)
    show = progress.download if progress else None
    if not config.demo or offline:
        archive_url = archive_address(config)
        with MarketData(
            root,
            rest_url=config.exchange.rest_url,
            archive_url=archive_url,
            archive_list_url=_archive_list_address(config),
            offline=offline,
            progress=show,
            # What the real exchange changed says nothing about an invented market.
            changes=() if config.demo else load_changes(),
            credentials=None if config.demo else Credentials.from_environment(config.exchange.rest_url),
        ) as market:
            yield market
        return
    from nt_run.demo import DemoExchange  # noqa: PLC0415 - only a demo pays for it

    with (
        DemoExchange(weight_limit=DEMO_WEIGHT) as exchange,
        MarketData(
            root,
            rest_url=exchange.rest_url,
            archive_url=exchange.archive_url,
            archive_list_url=exchange.archive_list_url,
            progress=show,
        ) as market,
    ):
        yield market


def market_root(config: RunConfig, cache_dir: Path) -> Path:
    """Return the folder of a market's data: the exchange's own, the demo's, and other addresses never mix."""
    if config.demo:
        return cache_dir / "demo"
    archive = archive_address(config)
    if _is_live(config) and archive == ARCHIVE_URL:
        return cache_dir
    hosts = dict.fromkeys(urlsplit(address).netloc for address in (config.exchange.rest_url, archive) if address)
    return cache_dir / "at" / "+".join(hosts).replace(":", "_")


def each_series(config: RunConfig, symbols: str | None, intervals: str | None) -> list[RunConfig]:
    """Return one configuration for each symbol in each interval of lists such as `BTCUSDT,ETHUSDT`; none comes twice.

    Raises:
        UsageError: One of them is no symbol, or no interval, or a list is empty.
    """
    chosen = [parse_symbol(each) for each in names_in("--symbol", symbols) or [config.symbol]]
    steps = [Interval(each).name for each in names_in("--interval", intervals) or [config.interval]]
    return [
        msgspec.structs.replace(config, symbol=symbol, interval=step)
        for symbol, step in product(dict.fromkeys(chosen), dict.fromkeys(steps))
    ]


def kinds_in(kinds: str | None, usual: Sequence[str]) -> list[str]:
    """Return the kinds of data a list such as `klines,mark` means, `usual` without one; none comes twice.

    Raises:
        UsageError: One of them is not of `KINDS`, or the list is empty.
    """
    chosen = list(dict.fromkeys(names_in("--kind", kinds) or usual))
    if strange := [kind for kind in chosen if kind not in KINDS]:
        raise UsageError(f"--kind must be one or several of {', '.join(KINDS)}, not {strange[0]!r}.")
    return chosen


def archive_address(config: RunConfig) -> str | None:
    """Return where the archive answers; `None` where REST is not the exchange's own but the archive would be."""
    address = config.exchange.archive_url.rstrip("/")
    return address if _is_live(config) or address != ARCHIVE_URL else None


def specs_report(
    config: RunConfig, *, cache_dir: Path | str = CACHE, offline: bool = False, at: str | None = None
) -> dict[str, Any]:
    """Return a contract's rules as one object: those of today with mark price and funding, or those of a date, `at`.

    Raises:
        DataError: The rules are out of reach or not kept, or the symbol is not a trading perpetual.
    """
    if at is not None:
        return _dated_report(config, Path(cache_dir), at)
    with open_market(config, cache_dir=Path(cache_dir), offline=offline) as market:
        loaded = _of_today(market.load_specs(config.symbol), market, config)
        warnings = [*exchange_warning(config), *loaded.warnings]
        try:
            state = market.load_market_state(config.symbol)
        except SourceError as exc:
            state = None
            warnings.append(f"Mark price and funding are not known now: {exc.reason}.")
        brackets = market.load_brackets(config.symbol, loaded.specs.as_of_ms)
    rules = specs_object(loaded.specs, config.trading_fees(), state) | loaded.origin()
    rules["leverage"], warnings = brackets_object(brackets.rules), [*warnings, *brackets.warnings]
    return rules | {"demo": config.demo, "warnings": warnings}


def _dated_report(config: RunConfig, cache_dir: Path, date: str) -> dict[str, Any]:
    with open_market(config, cache_dir=cache_dir, offline=True) as market:
        loaded = market.load_dated_specs(config.symbol, date)
        brackets = market.load_brackets(config.symbol, loaded.specs.as_of_ms)
    rules = specs_object(loaded.specs, config.trading_fees()) | loaded.origin()
    rules["leverage"] = brackets_object(brackets.rules)
    return rules | {"demo": config.demo, "warnings": [*exchange_warning(config), *loaded.warnings]}


def cached_series(config: RunConfig, *, cache_dir: Path | str = CACHE) -> list[dict[str, Any]]:
    """Return what the cache holds of a configuration's market, one object per series; times are ISO 8601."""
    with open_market(config, cache_dir=Path(cache_dir), offline=True) as market:
        found = market.cached()
    return [
        {
            "kind": series.kind,
            "symbol": series.symbol,
            "interval": series.interval,
            "first": None if series.damaged else format_iso(series.first_ms),
            "last": None if series.damaged else format_iso(series.last_ms),
            "rows": series.rows,
            "expected": series.expected,
            "coverage": series.rows / series.expected if series.expected else None,
            "bytes": series.bytes,
            "confirmed_holes": series.holes,
            "disputed": series.disputed,
            "damaged": series.damaged,
        }
        for series in found
    ]


def _archive_list_address(config: RunConfig) -> str | None:
    """Where the archive's files are listed; `None` where the archive is another one than the list would be of."""
    address = config.exchange.archive_list_url.rstrip("/")
    return address if archive_address(config) == ARCHIVE_URL or address != ARCHIVE_LIST_URL else None


def _is_live(config: RunConfig) -> bool:
    return config.exchange.rest_url.rstrip("/") == REST_URL


def _of_today(loaded: LoadedSpecs, market: MarketData, config: RunConfig) -> LoadedSpecs:
    """Today's rules with what is to be told of them."""
    if loaded.at != TODAY:
        return loaded
    if config.demo:
        # The embedded exchange's port differs each time; a run's records must not.
        return replace(loaded, specs=replace(loaded.specs, source="the embedded demo exchange"))
    as_of, now_s = loaded.specs.as_of_ms, market.clock()
    if not market.offline or now_s * 1000 - as_of < DAY_MS:
        return loaded
    told = f"Offline: today's trading rules are those of {aged(as_of, now_s)}."
    return replace(loaded, warnings=[*loaded.warnings, told])


def load_range(market: MarketData, config: RunConfig) -> TimeRange:
    """Return the range a configuration means: its own, or one that ends with the newest closed, offline cached, bar.

    Raises:
        DataError: The exchange is out of reach, or nothing is cached.
    """
    if config.start and config.end:
        return config.time_range(0)
    if not market.offline:
        return config.time_range(market.newest_closed_ms(Interval(config.interval)))
    newest = market.newest_cached_range(config.symbol, Interval(config.interval))
    if newest is None:
        raise NotCachedError(
            f"klines of {config.symbol} {config.interval}", ["nothing of it"], "Run once without --offline."
        )
    return config.time_range(newest.end_ms)
