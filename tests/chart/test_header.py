"""The header in real pictures: whatever the width, nothing is left out."""

import os
from collections.abc import Callable, Generator
from dataclasses import replace

import pytest

from chart.made_up_runs import make_klines, make_run
from nt_run.chart.view import ChartData, Stat, chart_data

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from PyQt6.QtGui import QImage

from nt_run.chart import theme
from nt_run.chart.header import Chunk, Heading, Piece, flow
from nt_run.chart.qt import font
from nt_run.chart.run_stage import RunStage
from nt_run.chart.showing import picture, staged

Shoot = Callable[..., tuple[RunStage, QImage]]
WIDTHS = [(1920, 1080), (1600, 900), (1280, 720), (900, 600), (640, 400), (360, 400)]


@pytest.fixture
def demo() -> ChartData:
    """Return a run whose last number is the only one in the colour of funding payments that were received."""
    data = chart_data(make_run(make_klines(90), trades=2, demo=True))
    plain = tuple(replace(stat, sign=0) for stat in data.stats[:-1])
    return replace(data, stats=(*plain, Stat("Funding", "+1,234.56", 1)))


@pytest.fixture
def shoot() -> Generator[Shoot]:
    managers = []

    def take(data: ChartData, size: tuple[int, int], hint: str = "") -> tuple[RunStage, QImage]:
        managers.append(staged(RunStage(data, size)))
        stage = managers[-1].__enter__()
        stage.header.hint = hint
        return stage, picture(stage, size, 1.0)

    yield take
    for manager in managers:
        manager.__exit__(None, None, None)


def coloured(image: QImage, name: str, rows: range) -> list[int]:
    return [x for y in rows for x in range(image.width()) if image.pixelColor(x, y).name() == name]


@pytest.mark.parametrize("size", WIDTHS)
def test_the_last_number_is_in_the_picture_however_narrow_it_is(
    demo: ChartData, size: tuple[int, int], shoot: Shoot
) -> None:
    stage, image = shoot(demo, size)
    told = [piece.text for line in stage.header.lines for chunk in line for piece in chunk.pieces]
    assert [text for text in told if any(text == stat.text for stat in demo.stats)] == [s.text for s in demo.stats]
    assert demo.subtitle == " ".join(told[2 : told.index("Net PnL")])
    height = round(stage.header.size().height())
    # Smooth strokes have few pixels of the plain colour; none of them is at the border.
    found = coloured(image, theme.RISE, range(2, height))
    assert len(found) > 25
    assert max(found) < size[0] - 6
    assert coloured(image, theme.RISE, range(2, height - 20)) == [] or len(stage.header.lines) == 1


def test_a_wide_header_has_one_line_and_whole_names(demo: ChartData, shoot: Shoot) -> None:
    stage, _ = shoot(demo, (1920, 1080))
    told = [piece.text for chunk in stage.header.lines[0] for piece in chunk.pieces]
    assert len(stage.header.lines) == 1
    assert {"Win rate", "Profit factor", "Max drawdown"} <= set(told)


def test_numbers_begin_a_line_of_their_own_where_one_line_is_not_enough(demo: ChartData, shoot: Shoot) -> None:
    stage, _ = shoot(demo, (1000, 700))
    assert [line[0].pieces[0].text for line in stage.header.lines] == ["SYNTHETIC MARKET (demo)", "Net PnL"]


def test_the_panes_make_room_for_every_line_of_the_header(demo: ChartData, shoot: Shoot) -> None:
    tops = []
    for size in ((1920, 700), (1000, 700), (640, 700)):
        stage, _ = shoot(demo, size)
        tops.append(stage.plots[0].vb.mapToScene(0, 0).y() - stage.header.size().height())
        assert stage.header.size().height() == theme.HEADER_PX + 19 * (len(stage.header.lines) - 1)
        last = stage.plots[-1]
        assert last.mapToScene(0, last.size().height()).y() <= 700
    assert max(tops) - min(tops) < 2


@pytest.mark.parametrize("width", range(620, 1500, 40))
def test_the_hint_lies_over_no_text(demo: ChartData, width: int, shoot: Shoot) -> None:
    stage, _ = shoot(demo, (width, 500), "?  keys")
    used = 3.0 + sum(chunk.gap * bool(place) + chunk.width for place, chunk in enumerate(stage.header.lines[0]))
    assert used + Piece("?  keys", theme.DIM, font()).width < width - 13


def test_a_name_longer_than_a_line_ends_in_dots_inside_it(demo: ChartData, shoot: Shoot) -> None:
    stage, image = shoot(replace(demo, subtitle=f"1m · {'very_' * 60}long · a day"), (640, 400))
    assert [piece.text for line in stage.header.lines for chunk in line for piece in chunk.pieces][-1] == "+1,234.56"
    long = next(number for number, line in enumerate(stage.header.lines) if "very" in line[0].pieces[0].text)
    rows = range(theme.HEADER_PX + 19 * (long - 1), theme.HEADER_PX + 19 * long)
    lit = [x for y in rows for x in range(640) if image.pixelColor(x, y).lightness() > 80]
    assert 560 < max(lit) < 636


def test_a_heading_without_numbers_has_a_line(shoot: Shoot) -> None:
    from nt_run.chart.header import Header  # noqa: PLC0415 – Qt's application must run before

    header = Header(Heading("2 runs", "BTCUSDT · a day", (), demo=False))
    assert header.fit(800) == theme.HEADER_PX
    assert [len(line) for line in header.lines] == [3]


def test_chunks_flow_into_lines_in_their_order() -> None:
    face = font()
    one = Piece("mmmm", theme.TEXT, face)
    chunks = [Chunk(10.0, (one,))] * 5
    wide = one.width
    # Two fit with their gap into the first line, three into the next.
    lines = flow(chunks, 2 * wide + 10, 3 * wide + 20)
    assert [len(line) for line in lines] == [2, 3]
    assert [len(line) for line in flow(chunks, 1.0, 1.0)] == [1] * 5
