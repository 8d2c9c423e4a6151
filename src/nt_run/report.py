"""The report of a run: one screen, under 100 columns."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import polars as pl
from rich.console import Group, RenderableType
from rich.text import Text

from nt_run.annotations import Annotations
from nt_run.curves import Curves, are_wanted
from nt_run.filters import capped_by
from nt_run.formats import amount, counted, percent, ratio, short_time, signed
from nt_run.incidents import incidents
from nt_run.margin_lines import liquidation_lines, margin_lines
from nt_run.model import Interval, TimeRange, parse_time
from nt_run.tables import ALARM, DIM, GOOD, banner, beside, coloured, grid, print_json, show, warning_lines

_ALMOST = 0.9999
_MOST = 5


def show_run(
    summary: Mapping[str, Any],
    equity: pl.DataFrame,
    *,
    plot: bool | None,
    json: bool,
    notes: Annotations | None = None,
) -> None:
    """Print a run as one object, or as its report.

    Args:
        summary: The run as one object.
        equity: The run's frame of that name, to be drawn.
        plot: Whether it is; `None` draws on a terminal alone.
        json: Print the object.
        notes: Note and tags of a kept run.
    """
    if json:
        print_json({**summary, **({} if notes is None else {"note": notes.note, "tags": notes.tags})})
        return
    drawn = [Curves(equity, summary["account"]["asset"])] if len(equity) and are_wanted(plot) else []
    print_run(summary, drawn=drawn, notes=notes)


def print_run(
    summary: Mapping[str, Any], *, drawn: Sequence[RenderableType] = (), notes: Annotations | None = None
) -> None:
    """Print the report of a run, under 100 columns: one screen, and with what is drawn a little more."""
    parts: list[RenderableType] = [_title(summary), *liquidation_lines(summary), _checks(summary)]
    parts += [beside(_money(summary), _statistics(summary)), *drawn]
    parts += incidents(summary)
    # The banner of a demo says what its first warning says.
    warnings = summary["warnings"][1 if summary["demo"] else 0 :]
    if warnings:
        parts.append(warning_lines(warnings))
    parts.append(_foot(summary))
    if notes is not None and (notes.tags or notes.note):
        parts.append(Text(" ".join([*(f"#{tag}" for tag in notes.tags), notes.note]).strip()))
    show(*parts)


def _title(summary: Mapping[str, Any]) -> RenderableType:
    head = Text()
    head.append(summary["instrument_id"], style="bold")
    head.append(
        f"  {summary['interval']}  {short_time(summary['start'])} → {short_time(summary['end'])} UTC", style="default"
    )
    params = " ".join(f"{name}={value}" for name, value in summary["strategy"]["params"].items())
    strategy = Text(f"{summary['strategy']['name']} {params}".rstrip(), style=DIM)
    return Group(*banner(demo=summary["demo"]), head, strategy)


def _checks(summary: Mapping[str, Any]) -> RenderableType:
    specs, bars, data = summary["specs"], summary["bars"], summary["data"]
    total = len(specs["checks"])
    wrong = [check["name"].replace("_", " ") for check in specs["checks"] if not check["same"]]
    rows = [
        (
            not wrong,
            "specification accuracy",
            f"{specs['accurate']} of {total}",
            f"differs: {', '.join(wrong)}" if wrong else f"exchangeInfo as of {short_time(specs['as_of'])} UTC",
        ),
        (
            data["completeness"] == 1,
            "data completeness",
            # 100.00 % is said of whole data alone.
            percent(1.0 if data["completeness"] == 1 else min(data["completeness"], _ALMOST)),
            f"{bars['loaded']:,} of {bars['expected']:,} klines, {_holes(data['gaps'])}",
        ),
        (
            bars["skipped"] == 0,
            "bars fed",
            f"{bars['fed']:,} of {bars['loaded']:,}",
            f"{bars['skipped']:,} skipped",
        ),
        *_settlement_rows(summary),
        *_size_rows(summary),
        *_risk_rows(summary),
        *_ambiguity_rows(summary),
    ]
    table = grid((None,), ("bold",), (None, "right"), (DIM,))
    for good, name, value, note in rows:
        mark = Text("·", style=DIM) if good is None else Text("✓", style=GOOD) if good else Text("!", style=ALARM)
        table.add_row(mark, name, value, note)
    return table


def _settlement_rows(summary: Mapping[str, Any]) -> list[tuple[bool | None, str, str, str]]:
    # Reports of earlier versions have none.
    missing, funding = summary["data"].get("missing_settlements"), summary.get("funding")
    if not missing or funding is None:
        return []
    lost = sum(each["count"] for each in missing)
    confirmed = sum(each["count"] for each in missing if each["status"] == "confirmed_absent")
    there = funding["settlements"]
    return [(False, "settlements", f"{there:,} of {there + lost:,}", f"{lost:,} missing ({confirmed:,} confirmed)")]


def _size_rows(summary: Mapping[str, Any]) -> list[tuple[bool | None, str, str, str]]:
    sizing, asset, base = summary["sizing"], summary["account"]["asset"], summary["specs"]["base_asset"]
    first, largest = sizing["first"], sizing["largest_share"]
    if first is None:
        return [(None, "account in one position", "none", "nothing was bought or sold")]
    note = f"{first['quantity']} {base} = {float(first['notional']):,.2f} {asset}, "
    if sizing["method"] in {"notional", "kelly"} or first["actual_share"] is None:
        note += f"asked {percent(first['asked_share'])}"
    else:
        what = "volatility" if sizing["method"] == "volatility" else "risk"
        note += f"{what} {percent(first['actual_share'])} of {percent(first['asked_share'])}"
    if first["capped_by"]:
        note += f", cut by {capped_by(first['capped_by'])}"
    note += f"; at most {percent(largest)}"
    share = percent(first["notional_share"])
    return [
        (largest is not None and largest <= 1, "account in one position", share, note),
        (None, f"one whole {base} instead", percent(first["one_unit_share"]), "of the account"),
    ]


def _risk_rows(summary: Mapping[str, Any]) -> list[tuple[bool | None, str, str, str]]:
    # Reports of earlier versions have none, and know nothing of stops beyond the price of liquidation.
    risk: Mapping[str, Any] | None = summary.get("risk_audit")
    if risk is None:
        return []
    rows = [_stops_row(risk, summary["account"]["asset"])]
    if beyond := risk.get("beyond_liquidation"):
        note = f"beyond the price of liquidation; {risk['liquidated']['trades']:,} were liquidated"
        rows.append((False, "stops that protect nothing", f"{beyond:,}", note))
    return rows


def _stops_row(risk: Mapping[str, Any], asset: str) -> tuple[bool | None, str, str, str]:
    stopped = f"{risk['stopped']:,} stops"
    if risk["unmatched"]:
        stopped += f" ({risk['unmatched']:,} more were built in parts)"
    if risk["worst"] is None:
        return None, "risk at the stop", "none", stopped
    # Reports of earlier versions count funding. Where it changes nothing, nothing is said.
    paid: Mapping[str, Any] = risk.get("with_funding") or {"over": 0}
    tells = paid["over"] and any(paid[key] != risk[key] for key in ("over", "max_over"))
    most = f"; with funding {paid['over']:,} did, {amount(paid['max_over'])} {asset} at most" if tells else ""
    if not risk["over"]:
        return True, "risk at the stop", "kept", f"{stopped}, none lost more than was asked{most}"
    worst = risk["worst"]
    parts = [f"{name} {amount(worst[name])}" for name in ("gap", "funding") if float(worst[name]) > 0]
    note = f"{risk['over']:,} of {stopped} lost more: {amount(worst['over'])} {asset} ({', '.join(parts)}){most}"
    return False, "risk at the stop", percent(risk["max_over_share"], sign=True), note


def _ambiguity_rows(summary: Mapping[str, Any]) -> list[tuple[bool | None, str, str, str]]:
    # Reports of earlier versions have none, and neither have runs without a resting order.
    ambiguity = summary.get("ambiguity")
    if ambiguity is None:
        return []
    pnl, detail, of, note = ambiguity["pnl"], ambiguity["detail"], f"{ambiguity['of']:,}", "each told what came first"
    if ambiguity["bars"]:
        note = f"PnL between {signed(pnl['worst'])} and {signed(pnl['best'])}, chosen {signed(pnl['chosen'])}"
    if detail and detail["bars"]:
        note += f"; {detail['bars']:,} of {summary['bars']['fed']:,} looked at in {detail['interval']}, {of} in all"
    return [(True if not ambiguity["bars"] else None, "ambiguous bars", f"{ambiguity['bars']:,} of {of}", note)]


def _money(summary: Mapping[str, Any]) -> RenderableType:
    account, pnl, benchmark = summary["account"], summary["pnl"], summary["benchmark"]
    table = grid(("bold",), (None, "right"), (DIM,))
    asset = account["asset"]
    table.add_row("Starting balance", amount(account["starting_balance"]), asset)
    table.add_row("Final equity", amount(account["final_equity"]), asset)
    if float(account["open_position"]):
        base = summary["specs"]["base_asset"]
        table.add_row("  still open", account["open_position"], f"{base}, {signed(account['open_pnl'])} {asset}")
    table.add_row("Net PnL", coloured(signed(pnl["net"]), float(pnl["net"])), asset)
    table.add_row("  price", signed(pnl["price"]), "")
    table.add_row("  fees", signed(pnl["fees"]), "")
    table.add_row("  funding", signed(pnl["funding"]), _funding_note(summary))
    for name in ("slippage", "liquidation", "rounding"):
        if float(pnl[name]):
            table.add_row(f"  {name}", signed(pnl[name], 8 if name == "rounding" else 2), "")
    table.add_row("Buy & hold", percent(benchmark["total_return"], sign=True), "")
    table.add_row("  max drawdown", percent(benchmark["max_drawdown"]), "")
    return table


def _funding_note(summary: Mapping[str, Any]) -> RenderableType:
    # Reports of earlier versions count the payments alone.
    funding = summary.get("funding", {})
    if funding is None:
        return Text("none charged", style=ALARM)
    closes = funding.get("at_bar_close", 0)
    return f"in {summary['funding_settlements']:,} payments" + (f", {closes:,} at a close" if closes else "")


def _fills(summary: Mapping[str, Any]) -> list[str]:
    """Return how orders were filled, and what the same fills would have made at other slippage."""
    costs = summary.get("costs")
    if costs is None or not summary["fills"]:  # reports of earlier versions have no costs
        return []
    when = {"close": "the close of their bar", "next-open": "the next open"}[costs["fill"]]
    slipped = [
        f"{Decimal(costs[f'slippage_{unit}']).normalize():f} {name}"
        for unit, name in (("bps", "bp"), ("ticks", "ticks"))
        if float(costs[f"slippage_{unit}"])
    ]
    most = costs["break_even_bps"]
    end = f"break-even at {most} bp"
    if most is None:
        end = "no profit even without" if float(costs["ladder"][0]["net"]) <= 0 else "a profit at any"
    rungs = " · ".join(f"{rung['slippage_bps']} bp {signed(rung['net'])}" for rung in costs["ladder"])
    return [
        f"fills market orders at {when}; slippage {' + '.join(slipped) or 'none'}, {end}",
        f"PnL by slippage {rungs}",
    ]


def _statistics(summary: Mapping[str, Any]) -> RenderableType:
    m = summary["metrics"]
    rows = (
        ("Return", coloured(percent(m["total_return"], sign=True), m["total_return"]),
         f"CAGR {percent(m['cagr'], sign=True)}"),
        ("Max drawdown", percent(m["max_drawdown"]), _drawdown_when(m)),
        ("Volatility", percent(m["volatility"]), "a year"),
        ("Sharpe · Sortino", f"{ratio(m['sharpe'])} · {ratio(m['sortino'])}", f"Calmar {ratio(m['calmar'])}"),
        ("Exposure", percent(m["exposure"]), f"in market {percent(m['time_in_market'], 0)}"),
        ("Turnover", f"{m['turnover']:,.1f}", "× mean equity"),
        ("Trades", f"{m['trades']:,}", f"in {summary['fills']:,} fills"),
        ("Win rate", percent(m["win_rate"], 1), f"factor {ratio(m['profit_factor'])}"),
        ("Expectancy", signed(m["expectancy"]), "a trade"),
        ("Average win · loss", f"{signed(m['average_win'])} · {signed(m['average_loss'])}", ""),
        ("Largest win · loss", f"{signed(m['largest_win'])} · {signed(m['largest_loss'])}", ""),
    )  # fmt: skip
    table = grid(("bold",), (None, "right"), (DIM,))
    for row in rows:
        table.add_row(*row)
    return table


def _foot(summary: Mapping[str, Any]) -> RenderableType:
    data, fees, timings = summary["data"], summary["fees"], summary["timings"]
    rates = f"maker {percent(float(fees['maker']), 4)}, taker {percent(float(fees['taker']), 4)}"
    lines = [
        *_fills(summary),
        f"fees {rates} ({fees['source']})",
        *margin_lines(summary),
        f"data {data['fingerprint'][:16]} from {_sources(data)}; {_zero_volume(summary)}",
        "time " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in timings.items()),
        f"run  {summary['run_id']}",
    ]
    specs = summary["specs"]
    if specs.get("at", "today") != "today":  # runs of earlier versions do not say
        lines.insert(0, f"rules {specs['snapshot']} ({specs['at']})")
    return Group(Text("\n".join(lines), style=DIM, overflow="fold"))


def _holes(gaps: Sequence[Mapping[str, Any]]) -> str:
    """Count holes: `2 holes (1 confirmed)`."""
    if not gaps:
        return "0 holes"
    confirmed = sum(gap["status"] == "confirmed_absent" for gap in gaps)
    return f"{counted(len(gaps), 'hole')} ({confirmed:,} confirmed)"


def _sources(data: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {percent(share, 0)}" for name, share in data["sources"].items())


def _zero_volume(summary: Mapping[str, Any]) -> str:
    runs, interval = summary["data"]["zero_volume_runs"], Interval(summary["interval"])
    if not runs:
        return "traded in every bar"
    longest = max(TimeRange(parse_time(run["start"]), parse_time(run["end"])).bars(interval) for run in runs)
    return f"no trade in {counted(len(runs), 'run')} of bars, the longest {longest:,}"


def _drawdown_when(metrics: Mapping[str, Any]) -> str:
    start, end = metrics["max_drawdown_start"], metrics["max_drawdown_end"]
    return f"{start[5:10]} → {end[5:10]}" if start else ""
