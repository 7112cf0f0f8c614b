"""Full collections do not happen by themselves once a process has settled."""

import gc
import weakref

import pytest
from voisnap_kit.memory import let_go, settle

pytestmark = pytest.mark.unit


class Part:
    """Holds another one, which holds it."""

    def __init__(self) -> None:
        self.other: Part | None = None


@pytest.fixture
def settled():
    before = gc.get_threshold()
    settle()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_a_settled_process_leaves_full_collections_to_its_sweeps(settled) -> None:
    full = gc.get_stats()[2]["collections"]
    kept = [[index] for index in range(400_000)]
    assert gc.get_stats()[2]["collections"] == full
    assert gc.get_stats()[1]["collections"] > 0
    assert len(kept) == 400_000


def test_what_was_let_go_is_free_at_once() -> None:
    gc.disable()
    try:
        one, two = Part(), Part()
        one.other, two.other = two, one
        gone = weakref.ref(one), weakref.ref(two)
        let_go(one)
        del one, two
        assert [part() for part in gone] == [None, None]
    finally:
        gc.enable()
