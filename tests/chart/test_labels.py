from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nt_run.chart.labels import HEIGHT_PX, Box, Taken, marker_boxes

ENDS = (0.0, 500.0)
NOTHING = np.zeros((0, 4))


def test_a_label_stands_right_above_or_below_its_bar() -> None:
    taken = Taken(NOTHING)
    # 9 pixels of air and 16 of height above a bar from 200 to 220, or 9 below it.
    above = taken.find(100, (200, 220), 40, ENDS, above=True)
    assert (above.box, above.is_far) == (Box(80, 175, 120, 191), False)
    assert taken.find(100, (200, 220), 40, ENDS, above=False).box == Box(80, 229, 120, 245)


def test_a_label_goes_farther_where_a_marker_or_another_label_stands() -> None:
    taken = Taken(np.array([[95.0, 180.0, 105.0, 190.0]]))
    below = taken.find(100, (200, 220), 40, ENDS, above=True)
    assert below.box.top == 229
    far = taken.find(100, (200, 220), 40, ENDS, above=True)
    # A step of 18 pixels above the place of the marker.
    assert (far.box, far.is_far) == (Box(80, 157, 120, 173), True)


def test_no_label_leaves_the_pane() -> None:
    assert Taken(NOTHING).find(100, (10, 30), 40, ENDS, above=True).box.top == 39
    assert Taken(NOTHING).find(100, (470, 490), 40, ENDS, above=False).box.bottom == 461


@given(st.lists(st.tuples(st.floats(0, 200), st.floats(60, 400), st.floats(20, 80)), max_size=4))
def test_labels_do_not_cover_each_other(trades: list[tuple[float, float, float]]) -> None:
    # From 60 on there are two places above a bar and five below; three labels cover two of them each at most.
    taken = Taken(NOTHING)
    boxes = [taken.find(x, (y, y + 10), width, ENDS, above=True).box for x, y, width in trades]
    for one, other in combinations(boxes, 2):
        beside = one.right <= other.left or other.right <= one.left
        assert beside or one.bottom <= other.top or other.bottom <= one.top
    assert all(abs(box.bottom - box.top - HEIGHT_PX) < 1e-6 for box in boxes)


def test_markers_take_the_room_they_are_drawn_in() -> None:
    x, y, side = np.array([50.0, 80.0, 90.0]), np.array([100.0, 100.0, 100.0]), np.array([1.0, -1.0, 1.0])
    boxes = marker_boxes(x, y, side, np.array([True, True, False]), (10.0, 4.0))
    # A buy hangs below its price, a sale stands on it; half of 0.62 × 10 wide on each side, and a pixel of air.
    assert boxes.tolist() == [[42.8, 99, 57.2, 111], [72.8, 89, 87.2, 101], [85, 95, 95, 105]]
