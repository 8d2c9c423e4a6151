from pathlib import Path
from typing import Any

import pytest

import sample_strategies
from nt_run.check import _HASH_SEEDS, check, checked_config
from nt_run.config import load_config
from nt_run.errors import CheckFailedError, UsageError
from nt_run.pipeline import backtest
from nt_run.verdict import refuse_dishonest

FILE = sample_strategies.__file__
RANGE = {"demo": True, "start": "2026-06-01", "end": "2026-06-04", "interval": "1m"}
GIVEN_A_HISTORY = {
    "PastReturn", "RollingAverage", "Expanding", "Exponential", "VolumeSurge", "ForwardFilled", "RollingScore",
    "YesterdaysHigh",
}  # fmt: skip
BUILT_IN = ("ema_cross", "rsi_reversion", "donchian_breakout")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own: a strategy that loads klines finds them in `data_cache` there."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer fresh processes than users have: most tests are not about them."""
    monkeypatch.setattr("nt_run.check._HASH_SEEDS", _HASH_SEEDS[:1])


@pytest.fixture
def all_processes(one_process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nt_run.check._HASH_SEEDS", _HASH_SEEDS)


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
    # Whoever is given a history has many chances to give himself away.
    early = len(result["tests"]["future"]["moments"]) - 5
    assert early > 0 if strategy in GIVEN_A_HISTORY else early == 0
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


@pytest.mark.usefixtures("all_processes")
@pytest.mark.parametrize("strategy", ["Coin", "SetOrder", "FirstOfASet"])
def test_a_strategy_that_does_not_do_the_same_twice_is_found(strategy: str) -> None:
    result = checked(strategy)
    assert not result["tests"]["determinism"]["passed"]
    # The other tests would blame the future, or the start, for what is neither's fault.
    assert result["tests"]["future"] == {"passed": None, "moments": []}
    with pytest.raises(CheckFailedError, match="does not do the same twice"):
        refuse_dishonest(result)


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_peek_at_the_next_bar_in_entries_alone_is_found_by_every_seed(seed: int) -> None:
    name = f"{FILE}:LimitAtTheNextLow"
    result = check(load_config(None, {**RANGE, "end": "2026-06-02", "strategy.name": name}), times=1, seed=seed)
    assert result["tests"]["future"]["passed"] is False


@pytest.mark.usefixtures("all_processes")
def test_each_fresh_process_has_another_order_of_sets_and_is_compared(tmp_path: Path) -> None:
    source = tmp_path / "last.py"
    source.write_text(
        "import os\n"
        "from nt_run.strategies.ema_cross import EmaCross, EmaCrossConfig\n"
        "class Last(EmaCross):\n"
        "    def __init__(self, config: EmaCrossConfig) -> None:\n"
        "        super().__init__(config)\n"
        "    def on_bar(self, bar):\n"
        f"        if os.environ.get('PYTHONHASHSEED') != {_HASH_SEEDS[-1]!r}:\n"
        "            super().on_bar(bar)\n"
    )
    result = check(load_config(None, {**RANGE, "end": "2026-06-02", "strategy.name": f"{source}:Last"}), times=1)
    assert len(set(_HASH_SEEDS)) >= 4
    assert result["tests"]["determinism"]["processes"] == len(_HASH_SEEDS)
    assert result["tests"]["determinism"]["passed"] is False


def test_a_strategy_that_only_counts_and_is_always_in_the_market_depends_on_the_start() -> None:
    # Shifted by a bar, it turns a bar later each time and never holds a position of the whole run.
    result = checked("AlwaysInByCount")
    assert result["tests"]["later_start"]["starts"][0]["agreement"] == "apart"
    with pytest.raises(CheckFailedError, match="depends on where the range starts: started 1 bar later"):
        refuse_dishonest(result)


def test_where_no_later_start_can_be_compared_nothing_is_told() -> None:
    # One position from the first bar to the last: each start has its own, and there is no second one to compare.
    result = checked("BuyAndHold")
    assert result["tests"]["later_start"]["passed"] is None
    assert not result["passed"]
    with pytest.raises(CheckFailedError, match=r"No later start of .*BuyAndHold could be compared.*longer range"):
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
