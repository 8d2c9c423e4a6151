"""The text of candles, against the plain way of writing numbers."""

import json
from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nt_run.demo.candles import Candles
from nt_run.model import Interval

NUMBERS = st.integers(0, 10**15)
COLUMNS = ("open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_volume", "taker_quote_volume")


def candles(rows: list[list[int]], decimals: tuple[int, int, int]) -> Candles:
    columns = np.array(rows, dtype=np.int64).reshape(-1, len(COLUMNS)).T
    return Candles(
        interval=Interval("1m"),
        decimals=decimals,
        open_time=1_735_689_600_000 + np.arange(len(rows), dtype=np.int64) * 60_000,
        **dict(zip(COLUMNS, columns, strict=True)),
    )


@given(
    rows=st.lists(st.lists(NUMBERS, min_size=9, max_size=9), max_size=5),
    decimals=st.tuples(*[st.integers(0, 8)] * 3),
)
def test_scaled_integers_are_written_as_exact_decimals(rows: list[list[int]], decimals: tuple[int, int, int]) -> None:
    price, quantity, quote = decimals
    places = (price, price, price, price, quantity, quote, 0, quantity, quote)
    written = json.loads(b"[" + bytes(candles(rows, decimals).json_rows())[:-1] + b"]")
    assert len(written) == len(rows)
    for row, source in zip(written, rows, strict=True):
        texts = [str(row[place]) for place in (1, 2, 3, 4, 5, 7, 8, 9, 10)]
        assert texts == [
            f"{Decimal(value).scaleb(-digits):.{digits}f}" for value, digits in zip(source, places, strict=True)
        ]


@given(st.integers(0, 5), st.integers(0, 5))
def test_a_slice_of_the_text_is_the_text_of_the_slice(first: int, last: int) -> None:
    whole = candles([[10**place] * 9 for place in range(5)], (2, 3, 5))
    start, end = (whole.interval.ms * place + int(whole.open_time[0]) for place in (first, last))
    assert bytes(whole.csv_rows().between(start, end)) == bytes(whole.between(start, end).csv_rows())
    assert bytes(whole.csv_rows().head(first)) + bytes(whole.csv_rows().tail(5 - first)) == bytes(whole.csv_rows())
