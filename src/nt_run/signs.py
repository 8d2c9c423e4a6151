"""Signs that a terminal without UTF-8 lacks, written with those that every terminal has."""

import codecs
import io
import unicodedata
from typing import TextIO

_ERRORS = "nt_run.plain"
_PLAIN = {
    "→": "->",
    "←": "<-",
    "↑": "^",
    "↓": "v",
    "–": "-",
    "—": "-",
    "−": "-",
    "…": "...",
    "·": "|",
    "×": "x",
    "÷": "/",
    "±": "+/-",
    "≤": "<=",
    "≥": ">=",
    "√": "sqrt",
    "σ": "sigma",
    "α": "alpha",
    "✓": "+",
    "✗": "x",
    "▲": "^",
    "▼": "v",
    "◆": "*",
    "○": "o",
    "■": "#",
    "█": "#",
    "─": "-",
    "━": "-",
    "│": "|",
    "Ⓢ": "S",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "“": '"',
    "”": '"',
    "„": '"',
}


def write_plainly(stream: TextIO) -> None:
    """Let a text stream write what its encoding lacks in other signs, and `?` for what has none, not fail."""
    if isinstance(stream, io.TextIOWrapper):
        codecs.register_error(_ERRORS, _handled)
        stream.reconfigure(errors=_ERRORS)


def plain(text: str) -> str:
    """Return a text in ASCII: signs as they are typed, letters without their accents, `?` for what is left."""
    typed = "".join(_PLAIN.get(sign, sign) for sign in text)
    bare = "".join(sign for sign in unicodedata.normalize("NFKD", typed) if not unicodedata.combining(sign))
    return bare.encode("ascii", "replace").decode()


def _handled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return plain(error.object[error.start : error.end]), error.end
