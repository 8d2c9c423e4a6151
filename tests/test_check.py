from pathlib import Path
from typing import Any

import pytest

import sample_strategies
from nt_run.check import check, checked_config
from nt_run.config import load_config
from nt_run.errors import CheckFailedError, UsageError
from nt_run.pipeline import backtest
from nt_run.verdict import refuse_dishonest

FILE = sample_strategies.__file__
RANGE = {"demo": True, "start": "2026-06-01", "end": "2026-06-04", "interval": "1m"}
BUILT_IN = ("ema_cross", "rsi_reversion", "donchian_breakout")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own: a strategy that loads klines finds them in `data_cache` there."""
    monkeypatch.chdir(tmp_path)


def checked(strategy: str, **changes: Any) -> dict[str, Any]:
    name = strategy if strategy in BUILT_IN else f"{FILE}:{strategy}"
    return check(load_config(None, {**RANGE, "strategy.name": name, **changes}))


def test_there_are_twenty_clean_strategies() -> None:
    assert len({*sample_strategies.CLEAN, *BUILT_IN}) >= 20


@pytest.mark.parametrize("strategy", [*BUILT_IN, *sample_strategies.CLEAN])
def test_a_clean_strategy_gives_no_alarm(strategy: str) -> None:
    result = checked(strategy)
    refuse_dishonest(result)
    assert result["passed"]
    assert len(result["tests"]["future"]["moments"]) == 5
    assert len(result["tests"]["later_start"]["starts"]) == 3


def test_a_fill_at_the_next_open_is_no_look_ahead() -> None:
    # The strategy is told of the fill at once, and places its stop by it.
    assert checked("StopAtFill", **{"execution.fill": "next-open"}, end="2026-06-03")["passed"]
    assert not checked("NegativeShift", **{"execution.fill": "next-open"}, end="2026-06-02")["passed"]


@pytest.mark.parametrize("strategy", sample_strategies.PEEKING)
def test_looking_ahead_is_found_and_the_time_is_named(strategy: str) -> None:
    result = checked(strategy)
    assert result["tests"]["determinism"]["passed"]
    found = [moment for moment in result["tests"]["future"]["moments"] if moment["difference"]]
    assert found
    for moment in found:
        asked = moment["difference"]
        # What came of it lies before the moment, and differs.
        assert asked["time"] <= moment["time"]
        assert asked["real_future"] != asked["other_future"]
    named = found[0]["difference"]["time"].replace("T", " ")[:16]
    with pytest.raises(CheckFailedError, match=f"{strategy} looks ahead: what it asked for at {named} UTC") as caught:
        refuse_dishonest(result)
    assert caught.value.exit_code == 8


def test_where_the_data_end_is_no_secret_of_the_future() -> None:
    result = checked("ShareOfTheSample")
    found = [moment["future"] for moment in result["tests"]["future"]["moments"] if moment["difference"]]
    # Noise in the same number of bars changes nothing.
    assert set(found) == {"end"}
    with pytest.raises(CheckFailedError, match="is another where the data ends soon after 2026-06-0"):
        refuse_dishonest(result)


@pytest.mark.parametrize("strategy", ["Coin", "SetOrder"])
def test_a_strategy_that_does_not_do_the_same_twice_is_found(strategy: str) -> None:
    result = checked(strategy)
    assert not result["tests"]["determinism"]["passed"]
    # The other tests would blame the future, or the start, for what is neither's fault.
    assert result["tests"]["future"] == {"passed": None, "moments": []}
    with pytest.raises(CheckFailedError, match="does not do the same twice"):
        refuse_dishonest(result)


def test_a_strategy_that_counts_from_the_start_of_the_range_is_found() -> None:
    result = checked("CountsFromTheStart")
    assert result["tests"]["future"]["passed"]
    with pytest.raises(CheckFailedError, match="depends on where the range starts: started 1 bar later"):
        refuse_dishonest(result)


def test_a_strategy_without_orders_is_not_passed() -> None:
    with pytest.raises(CheckFailedError, match="sent no order in this range"):
        refuse_dishonest(checked("Idle"))


def test_the_same_seed_gives_the_same_answer_and_another_one_other_moments() -> None:
    config = load_config(None, {**RANGE, "end": "2026-06-02"})
    first, second, other = (check(config, times=2, seed=seed) for seed in (4, 4, 5))
    assert first == second
    assert other["passed"]
    assert first["tests"]["future"] != other["tests"]["future"]


def test_no_moment_is_no_test() -> None:
    with pytest.raises(UsageError, match="--times must be at least 1"):
        check(load_config(None, RANGE), times=0)


def test_a_strategy_a_file_and_a_kept_run_can_be_checked(tmp_path: Path) -> None:
    runs = tmp_path / "data_cache" / "runs"
    run = backtest(load_config(None, {**RANGE, "strategy.params.fast": 5}))
    assert run.path is not None
    assert checked_config("rsi_reversion", {"interval": "5m"}, runs).strategy.name == "rsi_reversion"
    for target in (str(run.path / "config.toml"), str(run.path), run.run_id, run.run_id[:12]):
        config = checked_config(target, {"interval": "5m"}, runs)
        assert (config.strategy.params["fast"], config.start, config.interval) == (5, "2026-06-01T00:00:00Z", "5m")


def test_a_strategy_that_only_works_once_is_told_so(tmp_path: Path) -> None:
    source = tmp_path / "elsewhere.py"
    source.write_text(
        "import os\n"
        "if os.environ.get('PYTHONHASHSEED') == '20240101':\n"
        "    raise ValueError('not on this machine')\n"
        "from nt_run.strategies.ema_cross import EmaCross, EmaCrossConfig\n"
        "class Here(EmaCross):\n"
        "    def __init__(self, config: EmaCrossConfig) -> None:\n"
        "        super().__init__(config)\n"
    )
    with pytest.raises(Exception, match=r"fresh process failed.*not on this machine"):
        check(load_config(None, {**RANGE, "strategy.name": f"{source}:Here"}))


def test_a_parameter_the_strategy_cannot_have_is_refused_before_any_data_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ema_cross needs"):
        checked("ema_cross", **{"strategy.params.fast": 30})
    assert not (tmp_path / "data_cache").exists()
