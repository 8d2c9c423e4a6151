"""What a listing must know of the terminal, and one JSON object: without rich, which takes longer to load than both."""

import os
import re
import shutil
import sys
from collections.abc import Callable

import msgspec

GOOD, BAD, DIM, WARN = "green", "red", "bright_black", "yellow"
_CODES = {GOOD: 32, BAD: 31, WARN: 33, DIM: 90}
"""ECMA-48, Select Graphic Rendition: the colours of the foreground."""
_NOT_ASCII, _FOUR = re.compile(r"[^\x00-\x7f]+"), re.compile("(....)")


def print_json(value: object) -> None:
    """Print exactly one JSON object to stdout, all of it in any encoding."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    if is_plain():
        text = _NOT_ASCII.sub(lambda found: _FOUR.sub(r"\\u\1", found[0].encode("utf-16-be").hex()), text)
    print(text)  # noqa: T201 - this is the output


def is_plain() -> bool:
    """Return whether stdout lacks signs that UTF-8 has."""
    return not (sys.stdout.encoding or "").lower().startswith("utf")


def width() -> int | None:
    """Return the columns of the terminal; `None` where stdout is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def painter() -> Callable[[str, str], str]:
    """Return what puts a colour around a text, or leaves it alone where colours are not shown or not wanted."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        return lambda text, _colour: text
    return lambda text, colour: f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if colour and text else text
