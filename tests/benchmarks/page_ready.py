"""The page of a year of 1m bars with 10,000 trades: its size, what it costs to write, how soon it is ready.

Run it with `python tests/benchmarks/page_ready.py`. Ready means what `window.__ready` says: unpacked, drawn and two
frames later, counted from the start of loading, in headless Chromium without a network. Needs chromium
and chromedriver.
"""

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from chart.browser import open_browser
from chart.made_up_runs import make_klines, make_run
from nt_run.chart.page import save_page

YEAR = 525_600
TRADES = 10_000
ROUNDS = 7
JUMP = """
const done = arguments[0], began = performance.now();
document.querySelector("tr[data-trade='150']").click();
requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));
"""
MOST_BYTES, MOST_SECONDS = 7_000_000, 2.5


def median(numbers: list[float]) -> float:
    return sorted(numbers)[len(numbers) // 2]


def main() -> None:
    run = make_run(make_klines(YEAR), TRADES)
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        page = Path(folder) / "year.html"
        cpu = []
        for _ in range(ROUNDS):
            start = time.process_time()
            save_page(run, page)
            cpu.append(time.process_time() - start)
        ready, heap, jump = [], [], []
        for _ in range(ROUNDS):
            ready.append(browser.open(page)["ms"] / 1000)
            heap.append(browser.run("return performance.memory.usedJSHeapSize") / 1e6)
            jump.append(browser.driver.execute_async_script(JUMP) / 1000)
        size = page.stat().st_size
    print(f"{YEAR:,} bars, {TRADES:,} trades: {size:,} bytes, {size / YEAR:.1f} a bar")
    print(f"{'':<28}{'best':>8}{'median':>8}")
    for what, numbers in (
        ("written, CPU s", cpu),
        ("ready, s", ready),
        ("a jump to a trade, s", jump),
        ("heap, MB", heap),
    ):
        print(f"{what:<28}{min(numbers):>8.2f}{median(numbers):>8.2f}")
    if size > MOST_BYTES or min(ready) > MOST_SECONDS:
        raise SystemExit(f"more than {MOST_BYTES:,} bytes, or ready later than after {MOST_SECONDS} s")


if __name__ == "__main__":
    main()
