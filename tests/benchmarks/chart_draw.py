"""A year of minutes with ten thousand trades on the screen: this chart next to stock finplot drawing the same.

Run it with `python tests/benchmarks/chart_draw.py [--rounds 3]`. Each row is a process of its own, on an X server of
its own (Xvfb); times are CPU seconds of the process, counted after the imports and with the data at hand. First paint
goes from the arrays to the first frame of a 1600×900 window; a pan step moves half a year by a hundredth of the year,
and paints. Stock finplot gets candles, volume, two averages and equity in three panes, and lines for 300 of the trades:
its `add_line` would take minutes for all of them.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

BARS, TRADES, STOCK_TRADES, PAN_STEPS = 525_600, 10_000, 300, 20
sys.path.insert(0, str(Path(__file__).parents[1]))


def spent(work: Callable[[], Any]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def our_data() -> Any:
    from chart.made_up_runs import make_klines, make_run  # noqa: PLC0415 – rows load what they measure, no more
    from nt_run.chart.view import chart_data  # noqa: PLC0415

    return chart_data(make_run(make_klines(BARS), TRADES))


def paint_now(app: Any, window: Any) -> None:
    """Deal with what is under way and paint, without waiting for the server to ask for it."""
    app.processEvents()
    window.viewport().repaint()


def pan_steps(app: Any, window: Any) -> float:
    """Return the median of some steps to the right and back inside the year."""
    box = window.axs[0].vb
    box.update_y_zoom(BARS * 0.25, BARS * 0.75)
    paint_now(app, window)
    steps = []
    for number in range(PAN_STEPS):
        left = BARS * (0.25 + 0.01 * (number % 10 + 1))

        def move(left: float = left) -> None:
            box.update_y_zoom(left, left + BARS / 2)
            # Twice: what the paint itself asks for belongs to the step.
            app.processEvents()
            app.processEvents()

        steps.append(spent(move))
    return statistics.median(steps)


def window() -> list[float]:
    from nt_run.chart.display import prepare_window  # noqa: PLC0415

    data = our_data()
    prepare_window()
    from nt_run.chart import showing  # noqa: PLC0415

    stages: list[Any] = []

    def paint() -> None:
        stages.append(showing.build(data, showing.WINDOW_SIZE))
        stages[0].window.show()
        paint_now(stages[0].app, stages[0].window)

    first = spent(paint)
    return [first, pan_steps(stages[0].app, stages[0].window), peak_mb()]


def png() -> list[float]:
    from nt_run.chart.scene import PICTURE_SIZE  # noqa: PLC0415

    data = our_data()
    from nt_run.chart.display import prepare_offscreen  # noqa: PLC0415

    prepare_offscreen()
    from nt_run.chart import showing  # noqa: PLC0415

    return [spent(lambda: showing.render(data, PICTURE_SIZE, 1.0, None)), float("nan"), peak_mb()]


def stock() -> list[float]:
    data = our_data()
    import finplot as fplt  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415
    from PyQt6.QtWidgets import QApplication  # noqa: PLC0415

    bars, trades = data.bars, data.trades
    frame = pd.DataFrame(
        {"time": bars.open_ms * 1_000_000, "open": bars.open, "close": bars.close, "high": bars.high, "low": bars.low}
    )
    frame["volume"], frame["equity"] = bars.volume, data.account.equity
    every = np.linspace(0, TRADES - 1, STOCK_TRADES).astype(int)

    def paint() -> None:
        price, volume, equity = fplt.create_plot("stock finplot", rows=3)
        fplt.candlestick_ochl(frame[["time", "open", "close", "high", "low"]], ax=price)
        fplt.plot(frame["time"], data.overlays.fast, ax=price)
        fplt.plot(frame["time"], data.overlays.slow, ax=price)
        fplt.volume_ocv(frame[["time", "open", "close", "volume"]], ax=volume)
        fplt.plot(frame["time"], frame["equity"], ax=equity)
        times = (
            bars.open_ms[np.searchsorted(bars.slot, [trades.entry_slot[every], trades.exit_slot[every]])] * 1_000_000
        )
        for row, number in enumerate(every):
            start, end = (times[0][row], trades.entry_price[number]), (times[1][row], trades.exit_price[number])
            fplt.add_line(start, end, color="#2ebd85", ax=price)
        fplt.show(qt_exec=False)
        paint_now(QApplication, fplt.windows[0])

    first = spent(paint)
    return [first, pan_steps(QApplication, fplt.windows[0]), peak_mb()]


WORK = {"window": window, "picture": png, "stock finplot": stock}


def on_a_server(name: str) -> list[float]:
    """Run one row in a process of its own on an X server of its own."""
    reader, writer = os.pipe()
    screen = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1700x1000x24", "-nolisten", "tcp", "-noreset"]
    with subprocess.Popen(screen, pass_fds=[writer], stderr=subprocess.DEVNULL) as server:
        os.close(writer)
        with os.fdopen(reader) as number:
            env = {**os.environ, "DISPLAY": f":{number.readline().strip()}"}
        env.pop("QT_QPA_PLATFORM", None)
        command = [sys.executable, "-W", "ignore", __file__, "--row", name]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        server.terminate()
    if done.returncode:
        raise SystemExit(done.stderr)
    return [float(text) for text in done.stdout.split()]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--row")
    given = parser.parse_args()
    if given.row is not None:
        print(*WORK[given.row]())
        sys.stdout.flush()
        # Without the farewell of Qt, which finplot's windows do not always survive.
        os._exit(0)
    rows: dict[str, list[list[float]]] = {name: [] for name in WORK}
    for _ in range(given.rounds):
        for name, found in rows.items():
            found.append(on_a_server(name))
    print(f"{'CPU seconds, medians':<22} {'first paint':>12} {'pan step':>10} {'peak MB':>8}")
    for name, found in rows.items():
        first, pan, memory = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{name:<22} {first:>12.2f} {pan:>10.3f} {memory:>8.0f}")


if __name__ == "__main__":
    main()
