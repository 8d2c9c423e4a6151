import base64
import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nt_run.chart.packing import Column, column, pack, varints


def read(raw: bytes, count: int) -> list[int]:
    """Read varints the way the page does, byte by byte."""
    numbers, place = [], 0
    for _ in range(count):
        value = shift = 0
        while True:
            byte = raw[place]
            place += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        numbers.append(-(value + 1) // 2 if value % 2 else value // 2)
    assert place == len(raw)
    return numbers


def test_small_numbers_take_one_byte_whatever_their_sign() -> None:
    # Zig-zag: 0, −1, 1, −2 … → 0, 1, 2, 3 …; 64 → 128 is the first to need a second byte: 0x80 0x01.
    assert varints(np.array([0, -1, 1, -2, 63, -64, 64])) == bytes([0, 1, 2, 3, 126, 127, 0x80, 0x01])


@given(st.lists(st.integers(-(2**62), 2**62)))
def test_every_list_of_integers_is_read_back(numbers: list[int]) -> None:
    assert read(varints(np.array(numbers, dtype=np.int64)), len(numbers)) == numbers


@given(st.lists(st.integers(-(2**40), 2**40)), st.booleans())
def test_columns_are_read_back_in_order(numbers: list[int], running: bool) -> None:
    values = np.array(numbers, dtype=np.int64)
    facts, text = pack([Column("one", values, 2, running), Column("two", values)])
    assert [(each["name"], each["decimals"], each["running"]) for each in facts] == [
        ("one", 2, running),
        ("two", 0, False),
    ]
    back = read(gzip.decompress(base64.b64decode(text)), 2 * len(numbers))
    one, two = back[: len(numbers)], back[len(numbers) :]
    assert (np.cumsum(one).tolist() if running else one) == numbers
    assert two == numbers


def test_values_are_rounded_to_their_decimals() -> None:
    # 0.1 + 0.2 is 0.30000000000000004 as a double, 30 hundredths as a column.
    assert column("x", np.array([0.1 + 0.2, -1.005]), 2).scaled.tolist() == [30, -100]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e16])
def test_a_value_a_page_could_not_hold_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="column price"):
        column("price", np.array([1.0, value]), 2)


def test_the_same_columns_give_the_same_text() -> None:
    columns = [column("a", np.arange(1000.0), 1, running=True)]
    assert pack(columns) == pack(columns)
