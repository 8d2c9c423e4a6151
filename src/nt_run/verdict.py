"""What the tests of a strategy found, as one object: what `--json` prints, and the verdict."""

from collections.abc import Mapping, Sequence
from typing import Any

from nt_run.config import RunConfig
from nt_run.errors import CheckFailedError
from nt_run.honesty import Difference, Findings, LaterStart, Moment
from nt_run.model import MS, format_iso, format_time, parse_time

DEPENDS = ("never", "apart")
"""How a later start agrees where what the strategy does depends on the start."""
_HERE = 2
"""Runs compared that are made in this process."""


def check_object(config: RunConfig, found: Findings) -> dict[str, Any]:
    """Return what the tests of a strategy found as one object; times are ISO 8601, orders are text."""
    again, moments, starts = found.again, found.moments, found.starts
    tests: dict[str, Any] = {
        "determinism": {
            "passed": again is None,
            "runs": _HERE + found.processes,
            "processes": found.processes,
            "difference": _differs(again, ("once", "again")),
        },
        "future": {
            "passed": None if again else all(moment.difference is None for moment in moments),
            "moments": [_moment(moment) for moment in moments],
        },
        "later_start": {
            "passed": _alike(starts),
            "starts": [_later_start(start) for start in starts],
        },
    }
    return {
        "strategy": {"name": config.strategy.name, "params": dict(config.strategy.params)},
        "symbol": config.symbol,
        "interval": config.interval,
        "start": config.start,
        "end": config.end,
        "demo": config.demo,
        "orders": found.orders,
        "passed": bool(found.orders) and all(test["passed"] for test in tests.values()),
        "tests": tests,
    }


def refuse_dishonest(result: Mapping[str, Any]) -> None:
    """Do nothing if every test was passed.

    Raises:
        CheckFailedError: One was not; the message names the culprit time.
    """
    if not result["passed"]:
        raise CheckFailedError(_verdict(result))


def _alike(starts: Sequence[LaterStart]) -> bool | None:
    """Tell whether later starts come to the same; `None` where nothing could be compared."""
    kinds = {start.agreement for start in starts}
    if not kinds.isdisjoint(DEPENDS):
        return False
    return True if "equal" in kinds else None


def _moment(moment: Moment) -> dict[str, Any]:
    return {
        "time": format_iso(moment.time_ms),
        "orders": moment.orders,
        "future": moment.future,
        "difference": _differs(moment.difference, ("real_future", "other_future")),
    }


def _later_start(start: LaterStart) -> dict[str, Any]:
    return {
        "bars": start.bars,
        "agreement": start.agreement,
        "orders": start.compared,
        "equal_after_bars": start.equal_after,
        "last_difference": _differs(start.difference, ("whole_run", "later_start")),
    }


def _differs(difference: Difference | None, names: tuple[str, str]) -> dict[str, Any] | None:
    if difference is None:
        return None
    sent = (difference.first, difference.second)
    asked = {name: None if order is None else str(order) for name, order in zip(names, sent, strict=True)}
    return {"time": format_iso(difference.time_ns // MS), **asked}


def _verdict(result: Mapping[str, Any]) -> str:
    name, tests = result["strategy"]["name"], result["tests"]
    if not result["orders"]:
        return f"{name} sent no order in this range, so nothing could be checked. Choose a longer range."
    if not tests["determinism"]["passed"]:
        when = _when(tests["determinism"]["difference"])
        return f"{name} does not do the same twice: two runs over the same bars differ first at {when}."
    for moment in tests["future"]["moments"]:
        if moment["difference"]:
            asked, known = _when(moment["difference"]), _when(moment)
            how = f"is another where the data ends soon after {known}"
            if moment["future"] != "end":
                how = f"changes with the bars after {known}"
            if moment["future"] == "brief":
                how += ", or with how many there are"
            return f"{name} looks ahead: what it asked for at {asked} {how}."
    for start in tests["later_start"]["starts"]:
        if start["agreement"] in DEPENDS:
            late = f"{start['bars']:,} bar{'s' if start['bars'] > 1 else ''} later"
            return f"{name} depends on where the range starts: started {late}, it never comes to agree."
    return (
        f"No later start of {name} could be compared with the whole run, so whether it depends on where the range "
        "starts is not told. Choose a longer range."
    )


def _when(said: Mapping[str, Any]) -> str:
    return f"{format_time(parse_time(said['time']))} UTC"
