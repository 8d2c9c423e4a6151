"""Where the axes put their labels and what these say. Pure: no screen, all times UTC in milliseconds."""

import datetime as dt
import math

_SECOND = 1000
_DAY = 86_400 * _SECOND
TIME_STEPS = tuple(60 * _SECOND * minutes for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720)) + tuple(
    _DAY * days for days in (1, 2, 4, 7, 14)
)
"""Distances of labels a reader can count in; above them labels stand at months."""
TIME_LABEL_PX = 95
"""Width a time label needs with air around it."""
_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)
MAX_DECIMALS = 10
_RESOLUTION = 1e-11
"""A range narrower than this share of its values is lost in the last digits of floats."""


def time_ticks(start_ms: int, end_ms: int, width_px: float) -> list[int]:
    """Return the moments to label between `start_ms` and `end_ms` on an axis `width_px` wide."""
    if end_ms <= start_ms:
        return []
    wanted = max(width_px / TIME_LABEL_PX, 2.0)
    distance = (end_ms - start_ms) / wanted
    step = next((step for step in TIME_STEPS if step >= distance), None)
    if step is None:
        return _month_ticks(start_ms, end_ms, wanted)
    first = -(-start_ms // step) * step
    return list(range(first, end_ms + 1, step))


def time_label(time_ms: int) -> str:
    """Return the short name of a moment: `14:30` inside a day, `Mar 14` at midnight, `2026` at new year."""
    moment = dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC)
    if (moment.hour, moment.minute) != (0, 0):
        return f"{moment:%H:%M}"
    if (moment.month, moment.day) == (1, 1):
        return f"{moment:%Y}"
    return f"{moment:%b} {moment.day}"


def value_step(low: float, high: float, height_px: float, label_px: float) -> float:
    """Return a round distance (1, 2, 2.5 or 5 × 10ⁿ) that puts a label about every `label_px`; 0 for no range."""
    # `not >` is also true of NaN.
    if not high - low > _RESOLUTION * max(abs(low), abs(high)):
        return 0.0
    raw = (high - low) / max(height_px / label_px, 2.0)
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in _NICE if factor * power >= raw * (1 - 1e-12))


def value_ticks(low: float, high: float, step: float) -> list[float]:
    """Return the multiples of `step` inside `[low, high]`."""
    if step <= 0:
        return []
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [place * step for place in range(first, last + 1)]


def value_label(value: float, step: float) -> str:
    """Return `value` with as many decimals as tell multiples of `step` apart."""
    decimals = 0 if step <= 0 else max(-math.floor(math.log10(step) + 1e-9), 0)
    while decimals < MAX_DECIMALS and abs(step * 10**decimals - round(step * 10**decimals)) > 1e-6:  # noqa: PLR2004 – float noise
        decimals += 1
    text = f"{value:,.{decimals}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text


def _month_ticks(start_ms: int, end_ms: int, wanted: float) -> list[int]:
    start, end = (dt.datetime.fromtimestamp(ms / 1000, dt.UTC) for ms in (start_ms, end_ms))
    first, last = start.year * 12 + start.month - 1, end.year * 12 + end.month - 1
    step = max(math.ceil((last - first + 1) / wanted), 1)
    # Steps that divide or multiply a year, so that new year is always labelled.
    step = next((nice for nice in (1, 2, 3, 4, 6, 12) if nice >= step), -(-step // 12) * 12)
    months = range(-(-first // step) * step, last + 1, step)
    moments = (int(dt.datetime(month // 12, month % 12 + 1, 1, tzinfo=dt.UTC).timestamp() * 1000) for month in months)
    return [moment for moment in moments if start_ms <= moment <= end_ms]
