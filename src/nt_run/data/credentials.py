"""The key of an account at the exchange, which a few endpoints ask for. Read from the environment, kept nowhere."""

import os
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

KEY, SECRET = "BINANCE_API_KEY", "BINANCE_API_SECRET"  # names of variables
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True, slots=True)
class Credentials:
    """Key and secret; neither shows in a `repr`."""

    key: str = field(repr=False)
    secret: str = field(repr=False)

    @classmethod
    def from_environment(cls, rest_url: str) -> Self | None:
        """Return the key of `BINANCE_API_KEY` and `BINANCE_API_SECRET`; `None` if either is missing.

        Only the exchange itself, by https, and this machine are given a key: any other address may be anybody's.
        """
        key, secret = os.environ.get(KEY), os.environ.get(SECRET)
        parts = urlsplit(rest_url)
        host = parts.hostname or ""
        trusted = host in _LOOPBACK or (parts.scheme == "https" and f".{host}".endswith(".binance.com"))
        return cls(key, secret) if key and secret and trusted else None
