"""The header of a chart: what it is of and its numbers, in as many lines as they need."""

from collections.abc import Sequence
from typing import NamedTuple, override

from PyQt6 import QtCore, QtGui, QtWidgets

from nt_run.chart import theme
from nt_run.chart.captions import SYNTHETIC
from nt_run.chart.qt import NO_PEN, SMOOTH, colour, font
from nt_run.chart.view import Stat

_TITLE_PX = 15
_GAP_PX = 18.0
_TIGHT_GAP_PX = 10.0
_SMALL_GAP_PX = 6.0
_WORD_GAP_PX = 4.0
_MARGIN_PX = 3.0
_NEXT_LINE_PX = 19
"""Height of every line but the first."""
_BADGE_PX = 20.0


class Heading(NamedTuple):
    """What a chart is of: market, what was done there, its numbers, and whether the market is a made-up one."""

    title: str
    subtitle: str
    stats: tuple[Stat, ...]
    demo: bool

    @property
    def window_title(self) -> str:
        """The plain title of a window."""
        prefix = f"{SYNTHETIC} · " if self.demo else ""
        return f"{prefix}{self.title} · {self.subtitle}"


class Piece(NamedTuple):
    """A text in one face; `is_badge` sets it on a filled plate."""

    text: str
    name: str
    face: QtGui.QFont
    is_badge: bool = False

    @property
    def width(self) -> float:
        """Its width in pixels."""
        own = QtGui.QFontMetricsF(self.face).horizontalAdvance(self.text)
        return own + (16 if self.is_badge else 0)


class Chunk(NamedTuple):
    """Pieces that stay together on a line, `gap` pixels after what precedes them there."""

    gap: float
    pieces: tuple[Piece, ...]

    @property
    def width(self) -> float:
        """Its width in pixels, without the gap."""
        return sum(piece.width for piece in self.pieces) + _SMALL_GAP_PX * (len(self.pieces) - 1)


class Header(QtWidgets.QGraphicsWidget):
    """Market, strategy and range, then numbers. What one line cannot hold is shortened, and then goes on below it."""

    def __init__(self, heading: Heading) -> None:
        super().__init__()
        self._heading = heading
        self.hint = ""
        """Told at the right end of the first line."""
        self.lines: list[list[Chunk]] = []

    def fit(self, width: float) -> int:
        """Lay the texts out over `width` pixels and return the height that takes."""
        room = width - 2 * _MARGIN_PX
        first = room - (self._hint().width + _GAP_PX if self.hint else 0.0)
        self.lines = min(self._versions(first, room), key=len)
        height = theme.HEADER_PX + _NEXT_LINE_PX * (len(self.lines) - 1)
        self.setMinimumHeight(height)
        self.setMaximumHeight(height)
        return height

    def _versions(self, first: float, room: float) -> list[list[list[Chunk]]]:
        """Return what could be drawn, the best first: of those with the fewest lines, that one will be."""
        versions: list[list[list[Chunk]]] = []
        who = self._identity()
        for short in (False, True):
            for gap in (_GAP_PX, _TIGHT_GAP_PX):
                stats = [self._stat(stat, gap, short=short) for stat in self._heading.stats]
                # The numbers on lines of their own read best, where it costs no line.
                lines = flow(who, first, room)
                versions += [lines + flow(stats, room, room)] if stats else []
                versions.append(flow([*who, *stats], first, room))
        return versions

    def _identity(self) -> list[Chunk]:
        heading = self._heading
        plate = Piece(SYNTHETIC, theme.BACKGROUND, font(theme.SMALL_PX, strong=True), is_badge=True)
        title = Piece(heading.title, theme.TEXT, font(_TITLE_PX, strong=True))
        parts = heading.subtitle.split(" · ")
        # The dot stays behind when the next part goes to the next line.
        told = [f"{part} ·" for part in parts[:-1]] + parts[-1:]
        return [
            *([Chunk(0.0, (plate,))] if heading.demo else []),
            Chunk(2 * _SMALL_GAP_PX, (title,)),
            *(
                Chunk(_WORD_GAP_PX if place else _SMALL_GAP_PX, (Piece(text, theme.DIM, font()),))
                for place, text in enumerate(told)
            ),
        ]

    def _stat(self, stat: Stat, gap: float, *, short: bool) -> Chunk:
        name = stat.short or stat.name if short else stat.name
        value = Piece(stat.text, theme.signed(stat.sign), font(strong=True))
        return Chunk(gap, (Piece(name, theme.DIM, font()), value))

    def _hint(self) -> Piece:
        return Piece(self.hint, theme.DIM, font())

    @override
    def paint(
        self,
        painter: QtGui.QPainter | None,
        option: QtWidgets.QStyleOptionGraphicsItem | None,
        widget: QtWidgets.QWidget | None = None,
    ) -> None:
        if painter is None:
            return
        painter.setRenderHint(SMOOTH)
        room = self.size().width() - _MARGIN_PX
        for number, line in enumerate(self.lines):
            middle = theme.HEADER_PX / 2 + number * _NEXT_LINE_PX
            x = _MARGIN_PX
            for place, chunk in enumerate(line):
                x += chunk.gap if place else 0.0
                for piece in chunk.pieces:
                    _draw(painter, piece, x, middle, room - x)
                    x += piece.width + _SMALL_GAP_PX
                x -= _SMALL_GAP_PX
        if self.hint:
            hint = self._hint()
            _draw(painter, hint, room - hint.width, theme.HEADER_PX / 2, hint.width + 1)


def flow(chunks: Sequence[Chunk], first: float, room: float) -> list[list[Chunk]]:
    """Return the lines chunks make, in their order, `first` pixels wide and below that `room`; none is left out."""
    lines: list[list[Chunk]] = [[]]
    x = 0.0
    for chunk in chunks:
        limit = first if len(lines) == 1 else room
        if lines[-1] and x + chunk.gap + chunk.width > limit:
            lines.append([])
            x = 0.0
        x += (chunk.gap if lines[-1] else 0.0) + chunk.width
        lines[-1].append(chunk)
    return lines


def _draw(painter: QtGui.QPainter, piece: Piece, x: float, middle: float, room: float) -> None:
    """Draw a piece, elided where it is longer than a line."""
    height = _BADGE_PX if piece.is_badge else float(theme.HEADER_PX)
    box = QtCore.QRectF(x, middle - height / 2, min(piece.width, room) if piece.is_badge else room, height)
    align = QtCore.Qt.AlignmentFlag.AlignVCenter
    if piece.is_badge:
        painter.setPen(NO_PEN)
        painter.setBrush(colour(theme.WARNING))
        painter.drawRoundedRect(box, 3, 3)
        align |= QtCore.Qt.AlignmentFlag.AlignHCenter
    painter.setFont(piece.face)
    painter.setPen(colour(piece.name))
    text = piece.text
    if piece.width > room + 1:
        text = QtGui.QFontMetricsF(piece.face).elidedText(text, QtCore.Qt.TextElideMode.ElideRight, room)
    painter.drawText(box, align, text)
