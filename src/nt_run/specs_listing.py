"""Trading rules, kept answers and what changed between two, on the screen."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from nt_run.formats import percent, short_time
from nt_run.tables import BAD, DIM, GOOD, banner, grid, show, warning_lines

SNAPSHOT_HEADINGS = ("from", "last seen (UTC)", "perpetuals", "file")
_IN_FULL = 30
"""Changes that are shown one by one; more are summed up by rule."""
_NAMED = 8
_TRANSITIONS = 2


def _leverage(leverage: Mapping[str, Any], quote: str) -> list[tuple[str, str, str]]:
    """The first bracket and the last; of brackets that are not known, what stands in for them."""
    first, last = leverage["brackets"][0], leverage["brackets"][-1]
    if not leverage["brackets_known"]:
        return [("leverage brackets", leverage["brackets_source"], "")]
    known = f", known since {leverage['brackets_as_of'][:10]}" if leverage["brackets_as_of"] else ""
    count = f"{len(leverage['brackets'])} brackets, {leverage['brackets_source']}{known}"
    rows = [
        f"{one['max_leverage']} x up to {float(one['cap']):,.0f} {quote}, {percent(float(one['rate']))}"
        for one in (first, last)
    ]
    return [("leverage", rows[0], "maintenance margin"), ("", rows[1], count)]


def print_specs(rules: Mapping[str, Any], *, demo: bool, warnings: Sequence[str]) -> None:
    """Print the trading rules of one contract."""
    base, quote = rules["base_asset"], rules["quote_asset"]
    tick, step = f"price precision {rules['price_precision']}", f"size precision {rules['size_precision']}"
    rows = (
        ("contract", f"{rules['contract_type']} of {base}/{quote}, margin in {rules['margin_asset']}", ""),
        ("status", rules["status"], ""),
        ("tick size", f"{rules['tick_size']} {quote}", tick),
        ("step size", f"{rules['step_size']} {base}", step),
        ("quantity", f"{rules['min_quantity']} … {rules['max_quantity']} {base}", ""),
        ("market order", f"at most {rules['market_max_quantity']} {base}", ""),
        ("min notional", f"{rules['min_notional']} {quote}", ""),
        ("price band", _band(rules), "of the mark price"),
        ("open orders", _open_orders(rules), ""),
        ("liquidation fee", percent(_float(rules["liquidation_fee"]), 3), "of notional"),
        *_leverage(rules["leverage"], quote),
        ("maker / taker fee", f"{percent(_float(rules['maker_fee']), 4)} / {percent(_float(rules['taker_fee']), 4)}",
         rules["fee_source"]),
        *([] if rules["at"] != "today" else [
        ("mark price", _or_unknown(rules.get("mark_price")), quote),
        ("funding", percent(_float(rules.get("last_funding_rate")), 4), _funding(rules)),
        ]),
    )  # fmt: skip
    table = grid(("bold",), (None,), (DIM,))
    for name, value, note in rows:
        table.add_row(name, value, note)
    head = Text(rules["instrument_id"], style="bold")
    source = Text(f"as of {short_time(rules['as_of'])} UTC, from {rules['source']}", style=DIM)
    warnings = warnings[1 if demo else 0 :]  # the banner says what the first one says
    parts: list[RenderableType] = [*banner(demo=demo), head, table, source]
    show(*parts, *([warning_lines(warnings)] if warnings else []))


def snapshot_row(snapshot: Mapping[str, Any]) -> tuple[str, ...]:
    """Return one line of `nt-run specs list`."""
    count = snapshot["perpetuals"]
    return (
        short_time(snapshot["first"]),
        short_time(snapshot["last"]),
        snapshot["damaged"] or f"{count:,}",
        snapshot["file"].removesuffix(".json"),
    )


def print_imported(kept: Mapping[str, Any]) -> None:
    """Print what an import put into the list."""
    said = "was kept already" if kept["known"] else "is kept"
    line = f"{kept['perpetuals']:,} perpetuals as of {short_time(kept['as_of'])} UTC: {kept['snapshot']} {said}"
    show(*banner(demo=kept["demo"]), Text(line))


def print_diff(found: Mapping[str, Any], *, in_full: bool) -> None:
    """Print what changed between two answers: each change if they are few or `in_full`, else a summary by rule."""
    head = grid((None,), (DIM,), ("bold",), (None, "right"), (DIM,))
    for sign, side in (("−", found["before"]), ("+", found["after"])):
        as_of = f"{short_time(side['as_of'])} UTC" if side["as_of"] else "no date"
        asked = "" if side["asked"].endswith(side["name"]) else side["asked"]
        head.add_row(sign, asked, as_of, f"{side['perpetuals']:,} perpetuals", side["name"])
    parts: list[RenderableType] = [*banner(demo=found["demo"]), head]
    for name, style in (("listed", GOOD), ("delisted", BAD), ("unreadable", BAD)):
        if names := found[name]:
            parts.append(Text(f"{name} {len(names):,}: {_some(names, len(names) if in_full else _NAMED)}", style=style))
    changed = found["changed"]
    if in_full or len(changed) <= _IN_FULL:
        parts += [_each(changed)] if changed else []
    else:
        symbols = len({one["symbol"] for one in changed})
        hint = "--symbol NAMES or --json shows each change"
        parts += [_summed_up(found), Text(f"{len(changed):,} changes of {symbols:,} contracts; {hint}", style=DIM)]
    if found["same"]:
        parts.append(Text("nothing differs", style=GOOD))
    elif found["known_changes"] and not (found["listed"] or found["delisted"] or changed):
        parts.append(Text("the answers do not differ, the rules are known to", style=BAD))
    show(*parts, *([warning_lines(found["warnings"])] if found["warnings"] else []))


def _each(changed: Sequence[Mapping[str, Any]]) -> RenderableType:
    table = grid(("bold",), (DIM,), (None, "right"), (DIM,), (None,))
    for symbol, rows in groupby(changed, key=lambda one: one["symbol"]):
        name = symbol
        for one in rows:
            table.add_row(name, _name(one["rule"]), _value(one["before"]), "→", _value(one["after"]))
            name = ""
    return table


def _summed_up(found: Mapping[str, Any]) -> RenderableType:
    """One line a rule, so that all of it is on the screen; where there is no room, the examples give way."""
    width = max(len(_name(rule)) for rule in found["counts"])
    lines: list[Text] = []
    for rule, count in found["counts"].items():
        own = [one for one in found["changed"] if one["rule"] == rule]
        pairs = Counter((_value(one["before"]), _value(one["after"])) for one in own).most_common()
        symbols = {(_value(one["before"]), _value(one["after"])): one["symbol"] for one in own}
        shown = [
            f"{pair[0]} → {pair[1]} ({f'{times:,}' if times > 1 else symbols[pair]})"
            for pair, times in pairs[:_TRANSITIONS]
        ]
        ways = f"in {len(pairs):,} ways, such as " if len(pairs) > _TRANSITIONS else ""
        line = Text(f"{_name(rule):<{width}}", style="bold", no_wrap=True, overflow="ellipsis")
        line.append(f"{count:>6,} ", style="not bold").append(ways + ", ".join(shown), style=f"not bold {DIM}")
        lines.append(line)
    return Group(*lines)


def _some(names: Sequence[str], most: int) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest:,} more" if rest > 0 else "")


def _name(rule: str) -> str:
    return rule.removesuffix("_ms").replace("_", " ")


def _value(text: str | None) -> str:
    return "–" if text is None else text.removesuffix(":00Z").replace("T", " ") if text.endswith(":00Z") else text


def _band(rules: Mapping[str, Any]) -> str:
    if rules["percent_price_up"] is None or rules["percent_price_down"] is None:
        return _or_unknown(None)
    return f"× {rules['percent_price_down']} … × {rules['percent_price_up']}"


def _open_orders(rules: Mapping[str, Any]) -> str:
    most, waiting = rules["max_orders"], rules["max_algo_orders"]
    if most is None:
        return _or_unknown(None)
    return f"at most {most}" + ("" if waiting is None else f", {waiting} of them with a trigger")


def _funding(rules: Mapping[str, Any]) -> str:
    if rules.get("next_funding") is None:
        return ""
    every = rules.get("funding_interval_hours")
    return (f"every {every} h, " if every else "") + f"next {short_time(rules['next_funding'])} UTC"


def _or_unknown(text: str | None) -> str:
    return "not known" if text is None else text


def _float(text: str | None) -> float | None:
    return None if text is None else float(text)
