"""A user's own file: names, units, what is refused, and that what was exported comes back the same."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nt_run.data.archive_csv import CsvForm, write_csv
from nt_run.data.content import hash_content
from nt_run.data.export import Format, Target, export_klines
from nt_run.data.import_file import ImportedFile, read_klines
from nt_run.data.ingest import parse_rows
from nt_run.data.kline_store import KLINES
from nt_run.data.manifest import Manifest
from nt_run.errors import DataError, ImportFileError, InvalidKlinesError, NtRunError
from nt_run.klines import OPTIONAL, Klines
from nt_run.model import Interval, TimeRange, format_time, parse_time

DAY = parse_time("2025-01-01")
NOW = parse_time("2025-06-01")
MINUTE = 60_000
PRICES = "93548.8,93599.9,93514.2,93599.9,71.187"
AS_MS = [str(DAY), str(DAY + MINUTE), str(DAY + 2 * MINUTE)]

Make = Callable[..., Klines]


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., ImportedFile]:
    """Write a file and read it as a user's own."""

    def build(content: str | bytes, name: str = "BTCUSDT-1m.csv", **asked: Any) -> ImportedFile:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        options: dict[str, Any] = {"symbol": None, "interval": None, "now_ms": NOW, **asked}
        return read_klines(path, **options)

    return build


def csv(times: list[str], header: str = "date,open,high,low,close,volume") -> str:
    return "\n".join([header, *(f"{time},{PRICES}" for time in times)]) + "\n"


def feather(frame: pl.DataFrame) -> bytes:
    target = io.BytesIO()
    frame.write_ipc(target)
    return target.getvalue()


@pytest.mark.parametrize(
    "header",
    [
        "timestamp,open,high,low,close,volume",
        "Open time,Open,High,Low,Close,Volume",
        ",open,high,low,close,volume",
        '"Unnamed: 0",O,H,L,C,V',
        "openTime,open,high,low,close,volume",
    ],
)
def test_usual_names_are_recognised(read: Callable[..., ImportedFile], header: str) -> None:
    found = read(csv(AS_MS, header))
    assert (found.klines.symbol, found.klines.interval.name, len(found.klines)) == ("BTCUSDT", "1m", 3)
    assert found.klines.frame["close"].to_list() == [935_999] * 3
    assert found.klines.exponents.price == 1


@pytest.mark.parametrize(
    "first",
    [
        str(DAY // 1000),
        f"{DAY // 1000}.0",
        str(DAY),
        str(DAY * 1_000_000),
        "2025-01-01",
        "2025-01-01 00:00",
        "2025-01-01 00:00:00+00:00",
        "2025-01-01T00:00:00.000Z",
        "2024-12-31T19:00:00-05:00",
        "2025-01-01 00:00:00 UTC",
    ],
)
def test_the_unit_of_times_is_recognised(read: Callable[..., ImportedFile], first: str) -> None:
    found = read(csv([first]))
    assert found.klines.open_times().tolist() == [DAY]
    assert (found.remarks != []) == (first in {"2025-01-01", "2025-01-01 00:00"})


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/Vancouver"])
def test_datetime_columns_of_any_unit_and_zone_mean_their_moment(
    read: Callable[..., ImportedFile], unit: Any, zone: str | None
) -> None:
    times = pl.Series("date", [DAY, DAY + MINUTE]).cast(pl.Datetime("ms"))
    times = (times.dt.replace_time_zone("UTC").dt.convert_time_zone(zone) if zone else times).dt.cast_time_unit(unit)
    frame = pl.DataFrame({"date": times, **{name: [93548.8] * 2 for name in ("open", "high", "low", "close")}})
    found = read(feather(frame.with_columns(volume=pl.lit(0.1))), "BTC_USDT_USDT-1m-futures.feather")
    assert found.klines.open_times().tolist() == [DAY, DAY + MINUTE]
    assert (found.klines.symbol, bool(found.remarks)) == ("BTCUSDT", zone is None)


def test_microseconds_are_refused_as_spot(read: Callable[..., ImportedFile]) -> None:
    with pytest.raises(ImportFileError, match=r"microseconds, which futures never use.*likely a spot file"):
        read(csv([f"{time}000" for time in AS_MS]))


def test_a_float_becomes_its_shortest_decimal_and_is_never_rounded(read: Callable[..., ImportedFile]) -> None:
    prices = {"open": [0.1, 1e-7], "high": [0.3, 0.3], "low": [0.00001, 1e-7], "close": [0.2, 0.2]}
    frame = pl.DataFrame({"date": [DAY, DAY + MINUTE], **prices, "volume": [123456789.125, 1e15]})
    found = read(feather(frame), "BTCUSDT.feather").klines
    # 1e-7 needs seven decimals, so 0.1 is 1,000,000 and 0.3 is 3,000,000 of them; 0.125 needs three.
    assert (found.exponents.price, found.exponents.quantity) == (7, 3)
    assert found.frame["open"].to_list() == [1_000_000, 1]
    assert found.frame["high"].to_list() == [3_000_000] * 2
    assert found.frame["volume"].to_list() == [123_456_789_125, 10**18]


def test_a_computed_float_with_more_digits_than_fit_is_refused(read: Callable[..., ImportedFile]) -> None:
    prices = {"open": [93548.0], "high": [93548.0], "low": [0.1 + 0.2], "close": [93548.0]}
    with pytest.raises(InvalidKlinesError, match="too large or not a plain decimal"):
        # 0.1 + 0.2 is 0.30000000000000004: with its 17 decimals 93548 leaves 64 bits.
        read(feather(pl.DataFrame({"date": [DAY], **prices, "volume": [1.0]})), "BTCUSDT-1m.feather")


def test_32_bit_floats_are_refused(read: Callable[..., ImportedFile]) -> None:
    frame = pl.DataFrame({"date": [DAY], **{name: [1.5] for name in ("open", "high", "low", "close", "volume")}})
    with pytest.raises(ImportFileError, match="32-bit floats"):
        read(feather(frame.cast({"close": pl.Float32})), "BTCUSDT-1m.feather")


def test_what_a_file_lacks_is_unknown_and_not_zero(read: Callable[..., ImportedFile]) -> None:
    found = read(csv(AS_MS))
    assert found.unknown == list(OPTIONAL)
    assert all(found.klines.frame[name].null_count() == 3 for name in OPTIONAL)


def test_files_without_a_header_are_read_by_the_exchanges_order(
    read: Callable[..., ImportedFile], klines: Make
) -> None:
    rows = klines(DAY, 3)
    text = write_csv(rows, CsvForm(header=False))
    assert hash_content(read(text).klines) == hash_content(rows)
    assert len(read("".join(f"{time},{PRICES}\n" for time in AS_MS)).klines) == 3
    with pytest.raises(ImportFileError, match="5 columns and no header"):
        read(f"{DAY},1,2,0.5,1.5\n")


def test_a_zipped_csv_is_read(read: Callable[..., ImportedFile]) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("BTCUSDT-1m-2025-01.csv", csv(AS_MS))
    assert len(read(target.getvalue(), "BTCUSDT-1m-2025-01.zip").klines) == 3


def test_an_unclosed_last_kline_is_left_out_with_a_word(read: Callable[..., ImportedFile]) -> None:
    found = read(csv(AS_MS), now_ms=DAY + 2 * MINUTE + 30_000)
    assert len(found.klines) == 2
    assert found.remarks == ["the kline of 2025-01-01 00:02 had not closed yet and is left out"]
    with pytest.raises(DataError, match="2 rows close after"):
        read(csv(AS_MS), now_ms=DAY + 2 * MINUTE)


def test_symbol_and_interval_come_from_the_name_or_the_rows(read: Callable[..., ImportedFile]) -> None:
    assert read(csv(AS_MS), "Binance_1000PEPEUSDT_minute.csv").klines.symbol == "1000PEPEUSDT"
    five = csv([str(DAY + 5 * MINUTE * number) for number in range(4)])
    assert read(five, "ethusdt.csv").klines.interval == Interval("5m")
    assert read(five, "mine.csv", symbol="ETH/USDT:USDT").klines.symbol == "ETHUSDT"
    inside = "date,symbol,open,high,low,close,volume\n" + "".join(f"{time},SOL/USDT,{PRICES}\n" for time in AS_MS)
    assert read(inside, "mine.csv").klines.symbol == "SOLUSDT"


@pytest.mark.parametrize(
    ("times", "name", "ends"),
    [
        (["2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"], "BTCUSDT.csv", "2024-05-01 00:00"),
        (["2024-02-01", "2024-03-01"], "BTCUSDT.csv", "2024-04-01 00:00"),
        (["2024-02-01", "2024-03-01"], "BTCUSDT-1M.csv", "2024-04-01 00:00"),
        (["2024-02-01"], "BTCUSDT-1mo-2024-02.csv", "2024-03-01 00:00"),
    ],
)
def test_months_are_known_by_their_first_days_and_the_archives_name(
    read: Callable[..., ImportedFile], times: list[str], name: str, ends: str
) -> None:
    klines = read(csv(times), name).klines
    assert (klines.interval, len(klines)) == (Interval("1M"), len(times))
    assert format_time(klines.range.end_ms) == ends


def test_a_month_that_is_not_over_is_left_out(read: Callable[..., ImportedFile]) -> None:
    found = read(csv(["2024-02-01", "2024-03-01"]), now_ms=parse_time("2024-03-31"), name="BTCUSDT-1M.csv")
    assert len(found.klines) == 1
    assert found.remarks[-1] == "the kline of 2024-03-01 00:00 had not closed yet and is left out"


@pytest.mark.parametrize(
    ("content", "name", "asked", "words"),
    [
        (csv(AS_MS), "mine.csv", {}, "--symbol"),
        (csv(AS_MS[:1]), "BTCUSDT.csv", {}, "--interval"),
        (csv(AS_MS), "BTCUSDT-5m.csv", {}, "rows of 1m, and its name says 5m"),
        (csv(AS_MS), "BTCUSDT.csv", {"interval": "5m"}, "--interval says 5m"),
        (csv(AS_MS), "BTCUSDT-1m-mark.csv", {}, "last price"),
        (csv(["soon"]), "BTCUSDT-1m.csv", {}, "'soon'"),
        (csv(["12345"]), "BTCUSDT-1m.csv", {}, "12345"),
        (csv(["2025-01-01", "2025-01-01T00:01Z"]), "BTCUSDT-1m.csv", {}, "others do not"),
        (csv(AS_MS, "date,open,high,low,close,size"), "BTCUSDT-1m.csv", {}, "no column for volume"),
        ("date,open,high,low,close,volume\n", "BTCUSDT-1m.csv", {}, "no rows"),
        (b"PAR1 and then nothing", "BTCUSDT-1m.parquet", {}, "cannot be read"),
        (csv([AS_MS[0], f"{DAY + MINUTE + 1}"]), "BTCUSDT-1m.csv", {}, "minutes apart"),
        (csv(AS_MS).replace("71.187", "0"), "BTCUSDT-1m.csv", {}, "nothing|traded"),
        (csv(AS_MS).replace("93514.2", "93600"), "BTCUSDT-1m.csv", {}, "low ≤ open"),
        (
            csv(AS_MS, "date,open,high,low,close,volume,trades").replace("71.187", "71.187,12x"),
            "BTCUSDT-1m.csv",
            {},
            "trades",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_reason(
    read: Callable[..., ImportedFile], content: str, name: str, asked: dict[str, str], words: str
) -> None:
    with pytest.raises(NtRunError, match=words) as refused:
        read(content, name, **asked)
    assert refused.value.exit_code == 3


@pytest.mark.parametrize(
    "name",
    [
        "BTCUSDT-1m-2025-01.csv",
        "spot-BTCUSDT-1m.csv",
        "Binance_BTCUSDT_minute.csv",
        "btcusdt-1m.csv",
        "BTC_USDT_USDT-1m-futures.csv",
        "BTC_USDT-1m.csv",
    ],
)
def test_a_name_with_another_symbol_than_the_one_asked_for_is_a_contradiction(
    read: Callable[..., ImportedFile], name: str
) -> None:
    with pytest.raises(ImportFileError, match="is named like one of BTCUSDT, and --symbol says ETHUSDT"):
        read(csv(AS_MS), name, symbol="ETHUSDT")
    assert read(csv(AS_MS), name, symbol="BTC/USDT:USDT").klines.symbol == "BTCUSDT"
    inside = "date,symbol,open,high,low,close,volume\n" + "".join(f"{time},SOL/USDT,{PRICES}\n" for time in AS_MS)
    with pytest.raises(ImportFileError, match="is named like one of BTCUSDT, and its rows say SOLUSDT"):
        read(inside, name)


@pytest.mark.parametrize(
    "name",
    [
        "my-export.csv",
        "my-export-usdt-1m.csv",
        "all_usdt.csv",
        "klines in usdt.csv",
        "USDT-1m.csv",
        "ETHUSDT-BTCUSDT.csv",
    ],
)
def test_a_name_that_names_no_other_symbol_says_nothing(read: Callable[..., ImportedFile], name: str) -> None:
    assert read(csv(AS_MS), name, symbol="BTCUSDT").klines.symbol == "BTCUSDT"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match=r"BTCUSDT-1m\.csv is not there"):
        read_klines(tmp_path / "BTCUSDT-1m.csv", symbol=None, interval=None, now_ms=NOW)


@pytest.mark.parametrize("form", ["csv", "parquet", "archive"])
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(values=st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 10**9), st.integers(0, 4)), min_size=2))
def test_what_was_exported_comes_back_with_the_same_content(
    tmp_path: Path, form: Format, values: list[tuple[int, int, int]]
) -> None:
    rows = [
        [
            DAY + number * MINUTE,
            *(f"{each / 1000:.3f}" for each in (price, price + spread, price, price + spread)),
            f"{volume / 100:.2f}",
            DAY + (number + 1) * MINUTE - 1,
            f"{volume:.1f}",
            volume,
            f"{volume / 200:.3f}",
            f"{volume / 2:.1f}",
            "0",
        ]
        for number, (price, volume, spread) in enumerate(values)
    ]
    rows[0][5] = rows[0][9] = "1.00"
    exported = parse_rows("BTCUSDT", Interval("1m"), rows, "a test")[0]
    manifest = Manifest(kind=KLINES, symbol="BTCUSDT", interval="1m")
    whole_day = TimeRange(DAY, DAY + 86_400_000)
    (path,) = export_klines(exported, whole_day, KLINES, manifest, Target(tmp_path, overwrite=True), form)
    back = read_klines(path, symbol=None, interval="1m", now_ms=NOW)
    assert hash_content(back.klines) == hash_content(exported)
    assert back.unknown == []


def test_blank_lines_at_the_end_are_no_rows(read: Callable[..., ImportedFile]) -> None:
    assert len(read(csv(AS_MS) + "\n\n").klines) == 3


def test_floats_written_with_exponents_are_the_same_numbers(read: Callable[..., ImportedFile]) -> None:
    plain = read(csv(AS_MS)).klines
    rows = [",".join(f"{float(value):.12e}" for value in PRICES.split(",")) for _ in AS_MS]
    text = "date,open,high,low,close,volume\n" + "\n".join(
        f"{time},{row}" for time, row in zip(AS_MS, rows, strict=True)
    )
    assert read(text).klines.frame.equals(plain.frame)


@pytest.mark.parametrize("name", ["market_BTCUSDT-1m.csv", "premiums BTCUSDT-1m.csv"])
def test_a_name_that_only_begins_like_mark_prices_is_one_of_klines(
    read: Callable[..., ImportedFile], name: str
) -> None:
    assert len(read(csv(AS_MS), name).klines) == 3


@pytest.mark.parametrize("name", ["BTCUSDT-markPriceKlines-1m.csv", "mark_BTCUSDT-1m.csv", "BTCUSDT-fundingRate.csv"])
def test_other_data_is_known_by_its_name(read: Callable[..., ImportedFile], name: str) -> None:
    with pytest.raises(ImportFileError, match="is named like"):
        read(csv(AS_MS), name)
