"""What a kept run's folder lacks: a file its version did not write yet, or one that its own report proves it had."""

from collections.abc import Mapping
from typing import Any, cast

from nt_run.liquidation import MARK_KLINES
from nt_run.model import Audited, Violation
from nt_run.results import Run

_SINCE = {
    "settlements": ("margin", "filters", "ambiguity", "data.mark_fingerprint"),
    "orders": ("ambiguity", "data.mark_fingerprint", "data.missing_settlements"),
    "marks": ("data.missing_settlements", "costs.price_step", "risk_audit.with_funding"),
    "detail_marks": ("ambiguity.detail.mark_klines",),
}
"""Of each file, what reports tell since it is written, or since later."""


def is_lost(summary: Mapping[str, Any], name: str) -> bool:
    """Return whether a folder without a file must have had it, by what the report of the run tells.

    Args:
        summary: The report.
        name: `settlements`, `orders`, `marks` or `detail_marks`.
    """
    if name == "marks":
        fingerprint = _told(summary, "data.mark_fingerprint")
        used = _told(summary, "margin.liquidation_prices") == MARK_KLINES or fingerprint not in {None, _NOTHING}
    else:
        used = name != "detail_marks" or _told(summary, "ambiguity.detail.mark_klines") != 0
    return used and any(_told(summary, path) is not _NOTHING for path in _SINCE[name])


def account_for(run: Run, name: str, check: str, what: str) -> Audited:
    """Return what an audit says of a file that a run's folder lacks, and of what cannot be checked without it."""
    file = f"{name}.parquet"
    if is_lost(run.summary, name):
        gone = Violation(check, file, None, "kept with the run", "no file")
        return Audited([gone], 0, [f"{what}: the folder has no {file} any more"])
    return Audited([], 0, [f"{what}: the folder, of an earlier version, has no {file}"])


_NOTHING = object()


def _told(summary: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - the report's JSON
    name, _, rest = path.partition(".")
    part = summary.get(name, _NOTHING)
    if not rest:
        return part
    return _told(cast("dict[str, Any]", part), rest) if isinstance(part, dict) else _NOTHING
