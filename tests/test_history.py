import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kept_runs import keep
from nt_run.annotations import write_note, write_tags
from nt_run.errors import UsageError
from nt_run.history import INDEX, Choice, RunRow, chosen, run_rows


def names(rows: list[RunRow]) -> list[str]:
    return [row.run_id for row in rows]


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_listing_loads_nothing_heavy_while_its_index_fits(tmp_path: Path, arguments: list[str]) -> None:
    keep(tmp_path / "runs", "a")
    assert len(run_rows(tmp_path / "runs")[0]) == 1
    code = (
        f"import sys\nfrom nt_run.__main__ import main\nsys.argv = {['nt-run', 'runs', 'list', *arguments]!r}\n"
        "assert main() == 0\n"
        "heavy = ('polars', 'numpy', 'rich', 'nt_run.results', 'nt_run.model', 'tomllib')\n"
        "print(*(name for name in heavy if name in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"NT_RUN_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.strip() == ""
    assert "ema_cross" in done.stdout


def refuse_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path) -> None:
        raise AssertionError(f"{folder} was read though the index has it")

    monkeypatch.setattr("nt_run.results.read_summary", fail)


def test_a_row_says_what_the_summary_says(tmp_path: Path) -> None:
    keep(tmp_path, "a")
    ((row,), damaged) = run_rows(tmp_path)
    assert (row.run_id, row.symbol, row.strategy, row.trades, row.demo) == ("a", "BTCUSDT", "ema_cross", 429, True)
    # From 06-24 00:00 to 07-01 12:00.
    assert row.days == 7.5
    assert row.figures["sharpe"] == -47.2
    assert row.figures["net"] == -91.79
    assert "max_drawdown_start" not in row.figures
    # 121 bars from 10,000 down to 9,880: every twelfth of them.
    assert row.curve == [10_000.0 - 12 * at for at in range(1, 11)]
    assert damaged == []


def test_runs_are_listed_oldest_first(tmp_path: Path) -> None:
    for name in ("20260102-b", "20260101-a", "20260103-c"):
        keep(tmp_path, name)
    assert names(run_rows(tmp_path)[0]) == ["20260101-a", "20260102-b", "20260103-c"]


def test_what_the_index_has_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(tmp_path, "a")
    before = run_rows(tmp_path)
    refuse_to_read(monkeypatch)
    assert run_rows(tmp_path) == before


def test_a_new_run_appears_and_one_deleted_by_hand_vanishes(tmp_path: Path) -> None:
    keep(tmp_path, "a")
    keep(tmp_path, "b")
    run_rows(tmp_path)
    keep(tmp_path, "c")
    shutil.rmtree(tmp_path / "a")
    assert names(run_rows(tmp_path)[0]) == ["b", "c"]
    assert sorted(json.loads((tmp_path / INDEX).read_text())["rows"]) == ["b", "c"]


def test_a_summary_that_changed_is_read_again(tmp_path: Path) -> None:
    folder = keep(tmp_path, "a")
    run_rows(tmp_path)
    summary = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps(summary | {"trades": 7}))
    assert run_rows(tmp_path)[0][0].trades == 7


def test_notes_and_tags_show_at_once(tmp_path: Path) -> None:
    folder = keep(tmp_path, "a")
    run_rows(tmp_path)
    write_note(folder, "try again")
    write_tags(folder, ["good"])
    (row,) = run_rows(tmp_path)[0]
    assert (row.note, row.tags) == ("try again", ["good"])


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"version": 99, "rows": {}}', b"\xff\x00", b'{"rows": {"a": 1}}']
)
def test_a_damaged_index_is_made_anew_without_a_word(tmp_path: Path, content: bytes) -> None:
    keep(tmp_path, "a")
    before = run_rows(tmp_path)
    (tmp_path / INDEX).write_bytes(content)
    assert run_rows(tmp_path) == before
    assert "a" in json.loads((tmp_path / INDEX).read_text())["rows"]


def test_an_index_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    keep(tmp_path, "a")
    (tmp_path / INDEX).mkdir()
    assert names(run_rows(tmp_path)[0]) == ["a"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != INDEX) == ["a"]


def test_a_listing_passes_over_what_is_not_a_run_and_names_what_is_damaged(tmp_path: Path) -> None:
    keep(tmp_path, "a")
    (tmp_path / ".writing-x").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "readme.txt").write_text("mine")
    (keep(tmp_path, "broken") / "summary.json").write_text("{")
    (keep(tmp_path, "empty") / "summary.json").write_text("{}")
    (keep(tmp_path, "no-curve") / "equity.parquet").unlink()
    for _ in ("read", "from the index"):
        rows, damaged = run_rows(tmp_path)
        assert names(rows) == ["a"]
        assert damaged == ["broken", "empty", "no-curve"]


def test_a_damaged_run_that_was_mended_is_listed_again(tmp_path: Path) -> None:
    folder = keep(tmp_path, "a")
    whole = (folder / "summary.json").read_text()
    (folder / "summary.json").write_text("{")
    assert run_rows(tmp_path) == ([], ["a"])
    (folder / "summary.json").write_text(whole)
    os.utime(folder / "summary.json", ns=(1, 1))
    assert names(run_rows(tmp_path)[0]) == ["a"]


def test_no_folder_at_all_is_no_run(tmp_path: Path) -> None:
    assert run_rows(tmp_path / "runs") == ([], [])
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Choice(), ["a", "b", "c"]),
        (Choice(symbol="ETHUSDT"), ["b"]),
        (Choice(interval="5m"), ["c"]),
        (Choice(strategy="donchian"), ["b"]),
        (Choice(demo=False), ["c"]),
        (Choice(tags=("good",)), ["a", "b"]),
        (Choice(tags=("good", "old")), ["a"]),
        (Choice(symbol="ETHUSDT", demo=False), []),
    ],
)
def test_runs_are_chosen_by_what_they_are(tmp_path: Path, choice: Choice, expected: list[str]) -> None:
    write_tags(keep(tmp_path, "a"), ["good", "old"])
    write_tags(keep(tmp_path, "b", symbol="ETHUSDT", strategy={"name": "donchian_breakout", "params": {}}), ["good"])
    keep(tmp_path, "c", interval="5m", demo=False)
    assert names(chosen(run_rows(tmp_path)[0], choice, None)) == expected


def test_runs_are_sorted_by_a_figure_those_without_it_first(tmp_path: Path) -> None:
    for name, sharpe in (("a", 1.5), ("b", None), ("c", -2.0)):
        keep(tmp_path, name, sharpe=sharpe)
    rows = run_rows(tmp_path)[0]
    assert names(chosen(rows, Choice(), "sharpe")) == ["b", "c", "a"]
    assert names(chosen(rows, Choice(), "sharpe", reverse=True)) == ["a", "c", "b"]
    assert names(chosen(rows, Choice(), "trades")) == ["a", "b", "c"]


def test_a_figure_that_no_run_has_is_named_with_the_nearest(tmp_path: Path) -> None:
    keep(tmp_path, "a")
    with pytest.raises(UsageError, match=r"no 'sharp' to sort by\. Did you mean 'sharpe'"):
        chosen(run_rows(tmp_path)[0], Choice(), "sharp")
