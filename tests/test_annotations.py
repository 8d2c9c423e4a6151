from pathlib import Path

import pytest

from nt_run.annotations import NOTES, Annotations, read_annotations, shown_annotations, write_note, write_tags
from nt_run.errors import ResultsError, UsageError


def test_a_note_and_tags_are_kept_beside_a_run(tmp_path: Path) -> None:
    write_note(tmp_path, "  stop too\n tight ")
    write_tags(tmp_path, ["good", "btc-2026"])
    assert read_annotations(tmp_path) == Annotations(note="stop too tight", tags=("btc-2026", "good"))
    assert [path.name for path in tmp_path.iterdir()] == [NOTES]


def test_tags_are_added_once_and_taken_away(tmp_path: Path) -> None:
    write_tags(tmp_path, ["b", "a", "b"])
    assert write_tags(tmp_path, ["c"], ["a", "never-there"]).tags == ("b", "c")


def test_an_empty_note_is_none(tmp_path: Path) -> None:
    write_note(tmp_path, "something")
    assert write_note(tmp_path, "").note == ""


@pytest.mark.parametrize("tag", ["", "two words", "#x", "a" * 41, "a,b"])
def test_what_cannot_be_typed_again_is_no_tag(tmp_path: Path, tag: str) -> None:
    with pytest.raises(UsageError, match="is no tag"):
        write_tags(tmp_path, [tag])


def test_notes_that_cannot_be_read_are_told_and_never_written_over(tmp_path: Path) -> None:
    (tmp_path / NOTES).write_text('{"tags": 1')
    assert shown_annotations(tmp_path) == Annotations(note="notes.json is damaged")
    for write in (lambda: write_note(tmp_path, "x"), lambda: write_tags(tmp_path, ["x"])):
        with pytest.raises(ResultsError, match=r"notes\.json is damaged: .* Mend it by hand, or delete it"):
            write()
    assert (tmp_path / NOTES).read_text() == '{"tags": 1'


def test_a_folder_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="cannot be written"):
        write_note(tmp_path / "gone", "x")


def test_a_note_and_tags_typed_without_utf_8_are_those_that_were_typed(tmp_path: Path) -> None:
    # Python hands the bytes of an argument on like this where the locale does not say what they are.
    assert write_note(tmp_path, "fr\udcc3\udcbch").note == "früh"
    assert write_tags(tmp_path, ["fr\udcc3\udcbch"]).tags == ("früh",)
    assert write_tags(tmp_path, [], ["fr\udcc3\udcbch"]).tags == ()
    assert write_note(tmp_path, "\udcff no UTF-8 at all").note == "\ufffd no UTF-8 at all"
