"""Full collections are rare once a process has settled."""

import gc

import pytest
from voisnap_kit.memory import SELDOM, settle

pytestmark = pytest.mark.unit


def test_a_settled_process_leaves_full_collections_to_its_sweeps():
    before = gc.get_threshold()
    try:
        settle()
        assert gc.get_threshold() == (*before[:2], SELDOM)
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
