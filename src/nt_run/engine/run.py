"""One run: build the engine, feed it, collect what it booked, dispose of it.

The engine wants to be created, run and disposed of on one thread, and one at a time.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

from nautilus_trader.backtest import BacktestEngine
from nautilus_trader.model import BarType, CryptoPerpetual, Currency, Money, Price
from nautilus_trader.trading import Strategy

from nt_run.engine.bars import bar_type_name, make_bar_pairs
from nt_run.engine.charges import ChargeModel
from nt_run.engine.collect import OrderCollector, collect_funding, collect_trades
from nt_run.engine.estimator import Estimator
from nt_run.engine.filters import FilterGate
from nt_run.engine.follower import Follower
from nt_run.engine.funding import FundingPlan
from nt_run.engine.guard import Guard, together
from nt_run.engine.instrument import build_instrument, compare_with_specs, ensure_currency
from nt_run.engine.job import EngineInput, EngineOutput
from nt_run.engine.margin_gate import MarginGate
from nt_run.engine.moment import Moment
from nt_run.engine.overreach import FillGate
from nt_run.engine.prices import PriceModel
from nt_run.engine.protect import Protector
from nt_run.engine.refuse import Refusals
from nt_run.engine.sizer import EntrySizer, check_atr
from nt_run.engine.source import build_strategy
from nt_run.engine.venue import VENUE, add_venue, open_engine
from nt_run.engine.way import Way
from nt_run.klines import Klines
from nt_run.matching import match_bars
from nt_run.protection import ProtectionUse


def run_engine(run: EngineInput) -> EngineOutput:
    """Run one strategy over one market and return what the engine booked.

    A position that is open at the end stays open and is valued at the last close; nothing is closed by force.

    Raises:
        StrategyError: The strategy raised, in its constructor or in a callback.
        UsageError: The strategy does not fit the sizing rules, or asks for data a run does not have; the ATR of the
            sizing needs more bars than there are.
        BelowMinimumError: The first size of the run is below what the exchange accepts.
        BooksError: A funding settlement was missed or booked wrongly.
        KeyboardInterrupt: Ctrl-C; the engine is disposed of first.
    """
    way = Way(run.execution)
    while (output := _run_once(run, way)) is None:
        pass
    return output


def _run_once(run: EngineInput, way: Way) -> EngineOutput | None:
    check_atr(run.sizing, len(run.klines))
    instrument = build_instrument(run.specs, run.klines, run.fine)
    estimator = Estimator(run.sizing, run.klines.interval)
    sizer = _make_sizer(run, instrument, estimator)
    bar_type = BarType.from_str(bar_type_name(run.specs.instrument_id, run.klines.interval))
    strategy = build_strategy(
        run.strategy, run.params, run.history or run.klines, run.sizing.method, sizer, instrument, bar_type
    )
    protector = Protector(run.protection, run.specs, instrument, run.klines.interval, run.balance)
    plan = FundingPlan(run.funding, run.klines)
    follower = way.begin(run, instrument, plan)
    refusals, margin = _make_refusals(run, instrument, bar_type, protector, way)
    prices = _make_prices(run, instrument, refusals, way) if way.priced else None
    sources = prices and prices.references, follower and follower.charges.plain, prices and prices.makers
    orders = OrderCollector(refusals, *sources, keep_sent=run.keep_sent)
    late = FillGate(margin, instrument, refusals.reasons) if way.asks else None
    hooks = [part.hooks(bar_type) for part in (sizer, estimator, protector, follower, late) if part is not None]
    guard = Guard(bar_type, together(*hooks, orders.hooks()))
    try:
        with guard.interruptible(), open_engine() as engine:
            _add_venue(engine, run, prices, follower, way)
            engine.add_instrument(instrument)
            refusals.install(strategy, prices and prices.waits)
            guard.install(strategy)
            engine.add_strategy(strategy)
            _start(engine, strategy, prices, follower, late, guard)
            if not _feed(engine, run, instrument, plan, guard, orders, way):
                return None
            guard.raise_kept(run.strategy.name)
            output = _collect(engine, run, instrument, plan, guard, sizer, orders, protector.watch.uses)
        # What the strategy raised as the engine was disposed of.
        guard.raise_kept(run.strategy.name)
    finally:
        guard.release(strategy)
        refusals.release(strategy)
        sizer.release()
        for part in filter(None, (prices, follower, late)):
            part.release()
    return output if follower is None else replace(output, **follower.told(output.fills))


def _start(
    engine: BacktestEngine,
    strategy: Strategy,
    prices: PriceModel | None,
    follower: Follower | None,
    late: FillGate | None,
    guard: Guard,
) -> None:
    if prices is not None:
        prices.start(strategy.clock)
        prices.margin = late
        if follower is not None:
            follower.install(engine, prices, guard)


def _feed(
    engine: BacktestEngine,
    run: EngineInput,
    instrument: CryptoPerpetual,
    plan: FundingPlan,
    guard: Guard,
    orders: OrderCollector,
    way: Way,
) -> bool:
    """Run the engine over the market chunk by chunk, which takes less time and memory than all at once.

    Returns whether this was the way to do it.

    With twins each kline comes twice: as the bar the strategy sees, and before it as an execution bar (one second by
    name, so that the engine prefers it for matching) with the same prices and a volume larger than any order. An order
    is otherwise matched against a quarter of the bar's volume, and the rest of it filled a tick worse. Where there are
    finer klines, they are the execution bars.
    """
    fed_until = fed = 0

    def is_wrong() -> bool:
        orders.take_closed(engine.cache, fed_until)
        held: Decimal = cast("Any", engine.portfolio).net_position(instrument.id)
        # What the strategy raised where the run goes another way says nothing; Ctrl-C always does.
        return not isinstance(guard.error, KeyboardInterrupt) and way.is_wrong(orders, fed_until, held)

    for shown, matched in make_bar_pairs(run.klines, instrument, run.fine, twins=way.twins):
        if matched:
            engine.add_data(matched, sort=False)
        engine.add_data(shown, sort=False)
        if settlements := plan.data(instrument.id, fed_until, shown[-1].ts_event):
            engine.add_data(settlements, sort=False)
        fed_until = shown[-1].ts_event
        fed += len(shown)
        engine.sort_data()
        engine.run(streaming=True)
        engine.clear_data()
        guard.check_callbacks()
        if is_wrong():
            return False
        if guard.error is not None:
            return True
        if run.progress is not None:
            run.progress(fed, _equity(engine, run), orders.fills)
    engine.end()
    return not is_wrong()


def _collect(
    engine: BacktestEngine,
    run: EngineInput,
    instrument: CryptoPerpetual,
    plan: FundingPlan,
    guard: Guard,
    sizer: EntrySizer,
    orders: OrderCollector,
    protections: list[ProtectionUse],
) -> EngineOutput:
    fills, denials = orders.finish(engine.cache)
    payments = plan.payments(collect_funding(engine.cache), fills)
    account: Any = engine.cache.account_for_venue(VENUE)
    close = Price.from_decimal_dp(_price(run.klines, "close", -1), instrument.price_precision)
    open_pnl = engine.portfolio.unrealized_pnl(instrument.id, close)
    return EngineOutput(
        fills=fills,
        payments=payments,
        settlements=plan.settlements(),
        booked=collect_trades(engine.cache),
        denials=sorted([*denials, *sizer.record.denials], key=lambda denial: denial.time_ns),
        bars_fed=len(run.klines),
        bars_seen=guard.bars_seen,
        balance=account.balance_total(ensure_currency(run.specs.quote_asset)).as_decimal(),
        open_pnl=open_pnl.as_decimal() if open_pnl is not None else Decimal(0),
        spec_checks=compare_with_specs(instrument, run.specs),
        sizing=sizer.record,
        protections=protections,
        resting=orders.resting,
        sent=orders.sent,
        plots=guard.plots(),
    )


def _make_sizer(run: EngineInput, instrument: CryptoPerpetual, estimator: Estimator) -> EntrySizer:
    return EntrySizer(
        run.sizing,
        run.specs,
        run.fees,
        balance=run.balance,
        first_open=_price(run.klines, "open", 0),
        precisions=(instrument.price_precision, instrument.size_precision),
        estimator=estimator,
    )


def _make_prices(run: EngineInput, instrument: CryptoPerpetual, refusals: Refusals, way: Way) -> PriceModel:
    bars, tick = match_bars(run.klines, run.fine), run.specs.tick_size
    prices = PriceModel(bars, instrument, run.execution, tick=tick, reasons=refusals.reasons)
    prices.inside = way.stops.origins if way.inside else None
    return prices


def _make_refusals(
    run: EngineInput, instrument: CryptoPerpetual, bar_type: BarType, protector: Protector, way: Way
) -> tuple[Refusals, MarginGate]:
    moment, sizing, taker = Moment(), run.sizing, run.fees.taker
    filters = FilterGate(run.specs, instrument, bar_type, moment, _price(run.klines, "open", 0))
    terms: dict[str, Any] = {"leverage": sizing.leverage, "most": sizing.max_notional, "taker": taker}
    margin = MarginGate(run.specs, bar_type, moment, **terms, cross=run.cross, unasked=way.unasked)
    return Refusals([*protector.gates, *run.gates, filters, margin, *way.watches], moment), margin


def _add_venue(
    engine: BacktestEngine, run: EngineInput, prices: PriceModel | None, follower: Follower | None, way: Way
) -> None:
    currency = ensure_currency(run.specs.quote_asset)
    charges = follower.charges if follower else ChargeModel(run.fees, currency) if way.charged else None
    if charges and prices:
        charges.makers = prices.makers
    add_venue(
        engine,
        balance=run.balance,
        currency=currency,
        leverage=run.sizing.leverage,
        fees=run.fees,
        prices=prices,
        charges=charges,
        crossed=way.inside,
    )


def _price(klines: Klines, column: str, row: int) -> Decimal:
    return Decimal(int(klines.frame[column][row])).scaleb(-klines.exponents.price)


def _equity(engine: BacktestEngine, run: EngineInput) -> float:
    equity = cast("dict[Currency, Money]", cast("Any", engine.portfolio).equity(VENUE))
    return equity[ensure_currency(run.specs.quote_asset)].as_double()
