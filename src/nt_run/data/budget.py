"""What was spent of an exchange's request budget, in one small file that all processes of the user share.

    ~/.local/state/nt-run/request-weight.json      or under $XDG_STATE_HOME

One entry per exchange (host and port), so that a test or a demo never counts against the live one. The file is read,
changed and written under a lock, which the kernel frees if the process dies; one that does not make sense counts as
empty, for the exchange tells its own count with every answer. Times are seconds of the monotonic clock, which all
processes of the machine share and nobody can set.
"""

import fcntl
import math
import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

DEFAULT_LIMIT = 2400
"""Weight a minute, until an exchangeInfo answer says what holds (`rateLimits`)."""

# A minute, what is left of the second a request was counted in, and four seconds on the way to the exchange. Whatever
# the exchange's clock says, no minute of it then holds more than one such window.
_WINDOW_S = 65
_FORGOTTEN_S = 3600
_LARGEST = 1 << 20
_READ_AND_WRITE = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
_FILE = Path("nt-run", "request-weight.json")


class Hold(msgspec.Struct, frozen=True):
    """The exchange asked for no requests from `since` until `until`; `status` is the HTTP status it said so with."""

    since: float
    until: float
    status: int


class Budget(msgspec.Struct, omit_defaults=True):
    """What was spent at one exchange. All methods expect `turn` to have been called."""

    limit: int = DEFAULT_LIMIT
    """Weight a minute."""
    spent: dict[int, int] = {}
    """By second: what the processes that share this have spent."""
    others: tuple[int, int] = (0, 0)
    """Second and weight: what the exchange counted beyond that, so what other programs and machines have spent."""
    hold: Hold | None = None
    seen: int = 0
    """The last second in which anybody looked."""

    @property
    def used(self) -> int:
        """Weight that the exchange may count in its present minute."""
        return sum(self.spent.values()) + self.others[1]

    def turn(self, now: float) -> None:
        """Forget what counts no more, and what is of the future: of a time before the machine started anew."""
        self.spent = {second: weight for second, weight in self.spent.items() if second <= now < second + _WINDOW_S}
        if not self.others[0] <= now < self.others[0] + _WINDOW_S:
            self.others = (0, 0)
        if self.hold is not None and not self.hold.since <= now < self.hold.until:
            self.hold = None

    def wait(self, weight: int, most: float, now: float) -> int:
        """Return in how many seconds `weight` fits below `most`; one that never does fits when nothing else is used."""
        excess = self.used + weight - most
        end = now
        for second, freed in sorted(one for one in [*self.spent.items(), self.others] if one[1]):
            if excess <= 0:
                break
            excess, end = excess - freed, second + _WINDOW_S
        return max(0, math.ceil(end - now))

    def spend(self, weight: int, now: float) -> None:
        """Count `weight`."""
        self.spent[int(now)] = self.spent.get(int(now), 0) + weight

    def take_over(self, told: int, now: float) -> None:
        """Take over the exchange's own count."""
        beyond = told - sum(self.spent.values())
        self.others = (int(now), beyond) if beyond > 0 else (0, 0)

    def keep_off(self, seconds: float, status: int, now: float) -> None:
        """Spend nothing for `seconds` from now; an earlier wish that reaches further stays."""
        if self.hold is None or self.hold.until < now + seconds:
            self.hold = Hold(now, now + seconds, status)


class BudgetFile:
    """The budget of one exchange (`host`), shared where the file can be written and else of this process alone."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.refusal: str | None = None
        """Why it cannot be shared."""
        self._own = Budget()
        self._place = ""

    @contextmanager
    def budget(self, now: float) -> Generator[Budget]:
        """Give the budget of this moment, which nobody else reads or changes until the block ends, and keep it."""
        with ExitStack() as held:
            handle = self._open(held)
            before = b"" if handle is None else os.read(handle, _LARGEST)
            budgets = _decode(before)
            budget = self._own if handle is None else budgets.setdefault(self.host, Budget())
            for one in (*budgets.values(), self._own):
                one.turn(now)
            budget.seen = int(now)
            yield budget
            self._own = budget
            recent = {host: one for host, one in budgets.items() if one.hold or 0 <= now - one.seen < _FORGOTTEN_S}
            content = msgspec.json.encode(recent) + b"\n"
            if handle is not None and content != before:
                self._keep(handle, content)

    def _keep(self, handle: int, content: bytes) -> None:
        try:
            # In this order: whoever is killed in between leaves a line that counts, and a rest that does not.
            os.pwrite(handle, content, 0)
            os.ftruncate(handle, len(content))
        except OSError as exc:
            self.refusal = str(exc)

    def _path(self) -> str:
        if not self._place:
            # Not the runtime folder: a job started by cron has none, and must share with one started by hand.
            self._place = str(Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / _FILE)
        return self._place

    def _open(self, held: ExitStack) -> int | None:
        try:
            handle = _open(self._path())
            held.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
        except (OSError, RuntimeError) as exc:  # there may be no home either
            self.refusal = str(exc)
            return None
        return handle


def _open(path: str) -> int:
    try:
        return os.open(path, _READ_AND_WRITE, 0o600)
    except FileNotFoundError:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, _READ_AND_WRITE, 0o600)


def _decode(content: bytes) -> dict[str, Budget]:
    try:
        return msgspec.json.decode(content.partition(b"\n")[0], type=dict[str, Budget])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {}
