"""How amounts, fractions and times are written for people."""


def amount(text: str) -> str:
    """Return an amount of money: `10,000.00`."""
    return f"{float(text):,.2f}"


def signed(value: float | str | None, decimals: int = 2) -> str:
    """Return an amount with its sign, or `–` where there is none."""
    return "–" if value is None else f"{float(value):+,.{decimals}f}"


def percent(fraction: float | None, decimals: int = 2, *, sign: bool = False) -> str:
    """Return a fraction in per cent: 0.0239 → `2.39 %`, or `–` where there is none."""
    return "–" if fraction is None else f"{fraction * 100:{'+' if sign else ''},.{decimals}f} %"


def whole_percent(share: float) -> str:
    """Return a share in whole per cent; a few rows of many are not none, and most are not all: `< 1 %`, `> 99 %`."""
    shown = percent(share, 0)
    if 0 < share < 1 and shown in {"0 %", "100 %"}:
        return "< 1 %" if shown == "0 %" else "> 99 %"
    return shown


def ratio(value: float | None) -> str:
    """Return a ratio with two decimals, or `–` where it is undefined."""
    return "–" if value is None else f"{value:,.2f}"


def short_time(iso: str) -> str:
    """Return an ISO 8601 time without its seconds: `2025-05-04 15:33`."""
    return iso[:16].replace("T", " ")


def counted(number: int, what: str) -> str:
    """Return a number of things: `1 bar`, `1,440 bars`."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


_KINDS = {"markPriceKlines": "mark", "fundingRate": "funding"}


def kind_name(kind: str) -> str:
    """Return what `--kind` calls a kind of data, which the archive gives a longer name."""
    return _KINDS.get(kind, kind)
