"""The exchange's request budget: so much weight a minute for everything that runs on one IP address."""

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

from nt_run.data.budget import BudgetFile

LONGEST_WAIT_S = 180
"""What the exchange asks to wait for longer than this is an error instead."""

_SHARE = 0.95  # other programs on the same address need room, and the counter lags behind requests in flight
_HEADER = "x-mbx-used-weight-1m"


class HeldError(Exception):
    """The exchange wants no requests for longer than one waits: `seconds` more, said with HTTP `status`."""

    def __init__(self, seconds: float, status: int) -> None:
        self.seconds = seconds
        self.status = status
        super().__init__(f"{seconds} s, HTTP {status}")


class WeightLedger:
    """Keeps the requests of all processes of this machine together below the limit.

    The exchange counts by minutes of its clock and tells the count in each answer, other machines on the address
    included.

    Args:
        host: The exchange, as in its address.
        sleep: Waits for seconds.
        notice: Tells the user why.
        timer: Seconds of a clock that all processes share and nobody sets.
    """

    def __init__(
        self,
        host: str,
        *,
        sleep: Callable[[float], None],
        notice: Callable[[str], None],
        timer: Callable[[], float],
    ) -> None:
        self._file = BudgetFile(host)
        self._timer = timer
        self._sleep = sleep
        self._notice = notice
        self._awake = 0.0
        self._warned = False

    def spend(self, weight: int) -> None:
        """Wait until `weight` fits into what is left of the minute and the exchange asks nobody to wait; count it.

        Raises:
            HeldError: The exchange asked to wait for longer than `LONGEST_WAIT_S`.
        """
        while (pause := self._try(weight)) is not None:
            seconds, why = pause
            self._notice(why)
            began = self._now()
            self._sleep(seconds)
            # Who has slept is not early, however coarse the clock is.
            self._awake = began + seconds
        if self._file.refusal and not self._warned:
            self._warned = True
            self._notice(f"the request budget is not shared with other runs ({self._file.refusal})")

    def note(self, headers: Mapping[str, str]) -> None:
        """Take over the exchange's own count from an answer."""
        told = {str(name).lower(): value for name, value in headers.items()}.get(_HEADER, "")
        if told.isdigit():
            now = self._now()
            with self._file.budget(now) as budget:
                budget.take_over(int(told), now)

    def hold(self, seconds: float, status: int) -> None:
        """Keep every process from asking for `seconds`, as the exchange said with HTTP `status`."""
        now = self._now()
        with self._file.budget(now) as budget:
            budget.keep_off(seconds, status, now)

    def learn_limit(self, limits: object) -> None:
        """Take over the limit from `rateLimits` of an exchangeInfo answer; anything else leaves it as it is."""
        for item in cast("list[dict[str, Any]]", limits if isinstance(limits, list) else []):
            minutes = {"MINUTE": 1, "HOUR": 60}.get(str(item.get("interval")), 0) * int(item.get("intervalNum", 1))
            if item.get("rateLimitType") == "REQUEST_WEIGHT" and minutes > 0 and int(item.get("limit", 0)) > 0:
                with self._file.budget(self._now()) as budget:
                    budget.limit = int(item["limit"]) // minutes

    def _try(self, weight: int) -> tuple[int, str] | None:
        """Count `weight`, or return for how many seconds it does not fit, and why nothing happens."""
        now = self._now()
        with self._file.budget(now) as budget:
            if budget.hold is not None:
                left = budget.hold.until - now
                if left > LONGEST_WAIT_S:
                    raise HeldError(left, budget.hold.status)
                # A thousandth of a second is what two readings of a clock may differ by.
                seconds = max(1, math.ceil(left - 0.001))
                return seconds, f"the exchange asks to slow down for {seconds} s (HTTP {budget.hold.status}), waiting"
            if seconds := budget.wait(weight, budget.limit * _SHARE, now):
                used = f"{budget.used} of {budget.limit}"
                return seconds, f"the exchange's request budget is used up ({used}), waiting {seconds} s"
            budget.spend(weight, now)
            return None

    def _now(self) -> float:
        return max(self._timer(), self._awake)
