import io

from hypothesis import given
from hypothesis import strategies as st

from nt_run.signs import plain, write_plainly


def test_signs_are_written_as_they_are_typed() -> None:
    assert plain("✓ 1 → 2 · 0.5 × 10 ≥ −5 … USDⓈ-M √365 ±1") == "+ 1 -> 2 | 0.5 x 10 >= -5 ... USDS-M sqrt365 +/-1"


def test_letters_lose_their_accents_and_what_is_left_is_a_question_mark() -> None:
    assert plain("zu früh, naïve: идея") == "zu fruh, naive: ????"


@given(st.text())
def test_every_text_becomes_ascii_and_ascii_stays(text: str) -> None:
    assert plain(text).isascii()
    assert plain(plain(text)) == plain(text)


def test_a_stream_keeps_what_its_encoding_has() -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="latin-1")
    write_plainly(stream)
    stream.write("früh · 2 × 3 → ✓")
    stream.flush()
    # Latin-1 has ü, the middle dot and the sign of multiplication.
    assert written.getvalue().decode("latin-1") == "früh · 2 × 3 -> +"
