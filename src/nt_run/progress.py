"""Progress on stderr: downloads and the run, quiet where nobody watches."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class ProgressDisplay:
    """A live line per download and one for the run; every method is cheap and safe to call when quiet.

    Use it as a context manager: the lines vanish when it closes, so that only the result stays on the screen.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        console = Console(stderr=True, highlight=False)
        self.active = console.is_terminal and not quiet
        self._verbose = verbose and not quiet
        self._tasks: dict[str, TaskID] = {}
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            TextColumn("{task.fields[detail]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=console,
            transient=True,
            refresh_per_second=5,
            disable=not self.active,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def download(self, label: str, done: int, total: int, rows: int) -> None:
        """Show `done` of `total` bars of one series and the rows so far; with `total` 0 the label is a remark."""
        if not total:
            self.note(label)
            return
        task = self._task(label, total)
        elapsed = self._bars.tasks[task].elapsed or 0
        rate = f", {rows / elapsed:,.0f} rows/s" if elapsed > 0 else ""
        self._bars.update(task, completed=done, total=total, detail=f"{rows:,} of {total:,} rows{rate}")

    def note(self, message: str) -> None:
        """Say one thing above the lines, such as a wait the exchange asked for; without a terminal only if verbose."""
        if self.active or self._verbose:
            self._bars.console.print(message, style="yellow")

    def detail(self, message: str) -> None:
        """Say what only a verbose run says: one line per step."""
        if self._verbose:
            self._bars.console.print(message, style="bright_black")

    def run(self, bars: int, total: int, equity: float | None, trades: int) -> None:
        """Show how far the engine is."""
        task = self._task("run", total)
        elapsed = self._bars.tasks[task].elapsed or 0
        rate = f"{bars / elapsed:,.0f} bars/s" if elapsed > 0 else ""
        money = "" if equity is None else f", equity {equity:,.2f}"
        self._bars.update(task, completed=bars, detail=f"{rate}{money}, {trades:,} fills")

    def step(self, label: str, done: int, total: int) -> None:
        """Show how many of several like steps are done."""
        self._bars.update(self._task(label, total), completed=done, detail=f"{done} of {total}")

    def _task(self, label: str, total: int) -> TaskID:
        if label not in self._tasks:
            self._tasks[label] = self._bars.add_task(label, total=total, detail="")
        return self._tasks[label]
