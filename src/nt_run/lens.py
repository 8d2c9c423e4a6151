"""What `load_klines` shows while a strategy is checked: a market with another future, and not the one that came."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

from nt_run.klines import Klines

type Lens = Callable[[Klines], Klines]
"""Turns klines as they were into klines as they might have been."""

_lens: ContextVar[Lens | None] = ContextVar("lens", default=None)


@contextmanager
def seen_through(lens: Lens | None) -> Generator[None]:
    """Let everything that asks for klines see them through `lens`; `None` shows them as they are."""
    token = _lens.set(lens)
    try:
        yield
    finally:
        _lens.reset(token)


def shown(klines: Klines) -> Klines:
    """Return klines as whoever asks for them now is to see them."""
    lens = _lens.get()
    return klines if lens is None else lens(klines)
