"""The exchange's request budget: so much weight a minute for everything that runs on one IP address."""

from collections.abc import Callable, Mapping
from typing import Any, cast

DEFAULT_LIMIT = 2400
"""Weight a minute, until an exchangeInfo answer says what holds (`rateLimits`)."""

_SHARE = 0.95  # other programs on the same address need room, and the counter lags behind requests in flight
_MINUTE_S = 60.0
_HEADER = "x-mbx-used-weight-1m"


class WeightLedger:
    """Keeps the requests of this process below the limit.

    The exchange counts by minutes of its clock and tells the count in each answer, other processes on the address
    included. `clock` gives seconds since the epoch, `sleep` waits, `notice` tells the user why.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        notice: Callable[[str], None],
    ) -> None:
        self.limit = DEFAULT_LIMIT
        self.used = 0
        self._minute: float = 0.0
        self._clock = clock
        self._sleep = sleep
        self._notice = notice

    def spend(self, weight: int) -> None:
        """Wait until `weight` fits into the current minute, and count it."""
        self._turn()
        if self.used + weight > self.limit * _SHARE:
            pause = self._minute + _MINUTE_S - self._clock() + 1.0
            self._notice(
                f"the exchange's request budget is used up ({self.used} of {self.limit}), waiting {pause:.0f} s"
            )
            self._sleep(pause)
            self.used = 0
            self._turn()
        self.used += weight

    def note(self, headers: Mapping[str, str]) -> None:
        """Take over the exchange's own count from an answer."""
        told = {str(name).lower(): value for name, value in headers.items()}.get(_HEADER, "")
        if told.isdigit():
            self._turn()
            self.used = int(told)

    def learn_limit(self, limits: object) -> None:
        """Take over the limit from `rateLimits` of an exchangeInfo answer; anything else leaves it as it is."""
        for item in cast("list[dict[str, Any]]", limits if isinstance(limits, list) else []):
            minutes = {"MINUTE": 1, "HOUR": 60}.get(str(item.get("interval")), 0) * int(item.get("intervalNum", 1))
            if item.get("rateLimitType") == "REQUEST_WEIGHT" and minutes > 0 and int(item.get("limit", 0)) > 0:
                self.limit = int(item["limit"]) // minutes

    def _turn(self) -> None:
        minute = self._clock() // _MINUTE_S * _MINUTE_S
        if minute != self._minute:
            self._minute, self.used = minute, 0
