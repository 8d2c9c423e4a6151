from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nt_run.data.manifest import FILE
from nt_run.data.snapshots import SnapshotStore
from nt_run.errors import StoreError
from nt_run.model import parse_time

NOON = parse_time("2025-05-04T12:00")
HOUR = 3_600_000


def answer(tick: str = "0.10", time: int = NOON) -> dict[str, Any]:
    return {"serverTime": time, "symbols": [{"symbol": "BTCUSDT", "tickSize": tick}]}


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(tmp_path)


def test_a_snapshot_is_named_by_its_time_and_content(store: SnapshotStore) -> None:
    kept = store.keep(answer(), NOON)
    assert kept.file == f"20250504T120000Z.{kept.sha256[:12]}.json"
    assert store.read(kept) == answer()


def test_the_same_rules_again_are_not_written_twice_but_dated(store: SnapshotStore) -> None:
    first = store.keep(answer(), NOON)
    second = store.keep(answer(time=NOON + HOUR), NOON + HOUR)
    assert second.file == first.file
    assert (second.fetched_at_ms, second.last_seen_ms) == (NOON, NOON + HOUR)
    assert len(list(store.folder.glob("*Z.*.json"))) == 1


def test_rules_that_change_and_change_back_are_a_time_line(store: SnapshotStore) -> None:
    for hour, tick in enumerate(("0.10", "0.01", "0.10")):
        store.keep(answer(tick, NOON + hour * HOUR), NOON + hour * HOUR)
    ticks = [store.read(kept)["symbols"][0]["tickSize"] for kept in store.all()]
    assert ticks == ["0.10", "0.01", "0.10"]
    assert store.newest() == store.all()[-1]


def test_a_damaged_snapshot_is_an_error_that_names_it_and_is_kept_anew(store: SnapshotStore) -> None:
    kept = store.keep(answer(), NOON)
    (store.folder / kept.file).write_bytes(b"{}")
    with pytest.raises(StoreError, match=kept.file):
        store.read(kept)
    again = store.keep(answer(time=NOON + HOUR), NOON + HOUR)
    assert again.file != kept.file
    assert store.read(again) == answer(time=NOON + HOUR)


def test_a_damaged_list_of_snapshots_is_made_again_from_the_files(store: SnapshotStore) -> None:
    kept = [store.keep(answer("0.01"), NOON), store.keep(answer("0.10"), NOON + HOUR)]
    (store.folder / FILE).write_bytes(b"{}")
    (store.folder / "20990101T000000Z.000000000000.json").write_bytes(b"not what its name says")
    assert store.all() == kept
    assert store.all() == kept, "the list is set aside by the first look, and the second must not find less"


def test_nothing_was_kept_at_first(store: SnapshotStore) -> None:
    assert store.newest() is None
    assert store.all() == []


@given(st.permutations(list(enumerate(("0.01", "0.10", "0.01", "0.05")))))
def test_answers_kept_in_any_order_are_one_time_line(
    tmp_path_factory: pytest.TempPathFactory, order: list[Any]
) -> None:
    store = SnapshotStore(tmp_path_factory.mktemp("cache"))
    for hour, tick in order:
        store.keep(answer(tick, NOON + hour * HOUR), NOON + hour * HOUR)
    kept = store.all()
    assert [one.fetched_at_ms for one in kept] == sorted(one.fetched_at_ms for one in kept)
    for hour, tick in order:
        found = store.in_force(NOON + hour * HOUR)
        assert found is not None
        assert store.read(found)["symbols"][0]["tickSize"] == tick
    assert store.in_force(NOON - 1) is None


def test_an_answer_that_comes_between_two_alike_parts_them(store: SnapshotStore) -> None:
    store.keep(answer("0.10"), NOON)
    store.keep(answer("0.10", NOON + 2 * HOUR), NOON + 2 * HOUR)
    store.keep(answer("0.01", NOON + HOUR), NOON + HOUR)
    seen = [
        (one.fetched_at_ms - NOON, one.last_seen_ms - NOON, store.read(one)["symbols"][0]["tickSize"])
        for one in store.all()
    ]
    assert seen == [(0, 0, "0.10"), (HOUR, HOUR, "0.01"), (2 * HOUR, 2 * HOUR, "0.10")]


def test_an_older_answer_does_not_become_the_newest(store: SnapshotStore) -> None:
    newest = store.keep(answer("0.10"), NOON)
    store.keep(answer("0.01"), NOON - HOUR)
    assert store.newest() == newest
