import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import nt_run
from nt_run import backtest, load_config, load_klines, load_run, load_specs, plot


def test_the_door_is_what_it_says() -> None:
    assert sorted(nt_run.__all__) == ["backtest", "load_config", "load_klines", "load_run", "load_specs", "plot"]
    for name in nt_run.__all__:
        assert callable(getattr(nt_run, name))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = nt_run.nothing  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("statement", ["import nt_run", "import nt_run.cli"])
def test_importing_loads_nothing_heavy(statement: str) -> None:
    heavy = (
        "polars",
        "pyarrow",
        "numpy",
        "pandas",
        "nautilus_trader",
        "binance_common",
        "requests",
        "finplot",
        "PyQt6",
    )
    code = f"import sys\n{statement}\nprint([name for name in {heavy!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom nt_run.__main__ import main\nsys.argv = ['nt-run', '--help']\nassert main() == 0\n"
        "heavy = ('polars', 'numpy', 'msgspec', 'rich', 'nautilus_trader')\n"
        "print(*(name for name in heavy if name in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""
    assert "backtest" in done.stdout


def test_a_notebook_gets_frames_rules_klines_and_charts(tmp_path: Path) -> None:
    config = load_config(overrides={"demo": True, "start": "2026-06-01", "end": "2026-06-02"})
    run = backtest(config, cache_dir=tmp_path)
    assert isinstance(run.trades, pl.DataFrame)
    assert load_run(cache_dir=tmp_path).run_id == run.run_id
    klines = load_klines("BTCUSDT", "1m", "2026-06-01", "2026-06-02", demo=True, offline=True, cache_dir=tmp_path)
    assert klines.frame.equals(run.klines.frame)
    assert klines.floats()["close"].dtype == pl.Float64
    assert str(load_specs(demo=True, offline=True, cache_dir=tmp_path).tick_size) == "0.10"
    plot(run, tmp_path / "run.png")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
    plot(run, str(tmp_path / "run.html"))
    assert (tmp_path / "run.html").read_bytes().startswith(b"<!doctype html>")
