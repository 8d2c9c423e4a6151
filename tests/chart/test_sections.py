from typing import Any

from nt_run.chart.sections import sections

SUMMARY: dict[str, Any] = {
    "account": {"starting_balance": "10000", "final_equity": "9908.2", "open_position": "-0.002", "open_pnl": "1.0862"},
    "pnl": {"net": "-91.79", "price": "-8.89", "fees": "-82.94", "funding": "0.04", "liquidation": "0.00000000"},
    "metrics": {"total_return": -0.009179, "max_drawdown": -0.0095, "win_rate": 0.1772, "trades": 1429},
    "specs": {"base_asset": "BTC", "checks": [{"name": "tick_size", "exchange": "0.1", "built": "0.2", "same": False}]},
    "data": {"completeness": 1.0, "fingerprint": "ab" * 32, "sources": {"rest": 1.0}, "gaps": []},
    "trades": 1429,
}


def rows_of(title: str, summary: dict[str, Any] = SUMMARY) -> list[list[str]]:
    found = [part["rows"] for part in sections(summary, {"tick_size": "0.1"}, "a = 1") if part["title"] == title]
    assert len(found) == 1, title
    return found[0]


def test_parts_of_the_result_that_are_nothing_are_left_out() -> None:
    names = [name for name, *_ in rows_of("What the result is made of")]
    assert names[:5] == ["starting balance", "price", "fees", "funding", "net PnL"]
    assert "liquidation" not in names


def test_a_rule_that_differs_is_said_to_differ() -> None:
    assert rows_of("Rules of the exchange and of the run") == [["tick size", "0.1", "0.2", "DIFFERS"]]


def test_what_a_later_version_records_is_shown_as_it_is() -> None:
    summary = SUMMARY | {"weather": {"sky": "blue", "winds": [{"from": "west", "share": 0.5}], "none": None}}
    assert rows_of("Also recorded", summary) == [
        ["weather · sky", "blue"],
        ["weather · winds 1 from", "west"],
        ["weather · winds 1 share", "0.5"],
    ]


def test_a_list_without_end_is_counted() -> None:
    summary = SUMMARY | {"denied": {f"reason {number}": number for number in range(1, 81)}}
    rows = rows_of("Orders that never reached the market", summary)
    assert len(rows) == 51
    assert rows[-1] == ["and 30 more", ""]


def test_orders_that_found_nothing_to_fill_have_a_box_of_their_own() -> None:
    told = "immediate-or-cancel order found nothing at its price"
    summary = SUMMARY | {"denied": {told: 4, "too many open orders": 2}}
    assert rows_of("Orders that never reached the market", summary) == [["too many open orders", "2"]]
    assert rows_of("Orders that ended at once without a fill", summary) == [[told, "4"]]


def test_liquidations_are_listed() -> None:
    one = {"time": "2025-05-04T10:00:00Z", "side": "long", "quantity": "1", "price": "9", "lost": "12.5"}
    rows = rows_of("Liquidations", SUMMARY | {"liquidations": [one]})
    assert rows == [["2025-05-04 10:00", "long 1", "9", "-12.50"]]


def test_filters_that_did_nothing_are_not_listed() -> None:
    nothing = {"rounded": 0, "capped": 0, "refused": 0}
    filters = {"by_filter": {"LOT_SIZE": nothing | {"rounded": 1030}, "PRICE_FILTER": nothing}}
    assert rows_of("Filters", SUMMARY | {"filters": filters}) == [["lot size", "1,030", "0", "0"]]


def test_costs_and_brackets_are_tables_of_their_own() -> None:
    costs = {"fill": "close", "ladder": [{"slippage_bps": "5", "net": "-10288.852"}]}
    bracket = {"floor": "50000", "cap": "600000", "rate": "0.005", "max_leverage": "100", "cum": "50"}
    summary = SUMMARY | {"costs": costs, "margin": {"mode": "cross", "brackets": [bracket]}}
    assert rows_of("PnL by slippage", summary) == [["5 bp", "-10,288.85"]]
    assert rows_of("Fills and slippage", summary) == [["fill", "close"]]
    assert rows_of("Leverage brackets", summary) == [["50,000", "0.50 %", "100 ×"]]
    assert rows_of("Margin", summary) == [["mode", "cross"]]
