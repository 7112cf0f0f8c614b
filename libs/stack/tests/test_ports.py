import json
import socket
from pathlib import Path

import pytest
from voisnap_stack.ports import LOOPBACK, keep_ports

pytestmark = pytest.mark.unit

NAMES = tuple(f"part{number}" for number in range(40))
FIRST_OUTGOING = 32_768
"""Where Linux begins to take ports for outgoing connections (ip_local_port_range)."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ports.json"


def test_ports_are_different_and_below_those_of_outgoing_connections(file: Path) -> None:
    chosen = keep_ports(file, NAMES)

    assert len(set(chosen.values())) == len(NAMES)
    assert max(chosen.values()) < FIRST_OUTGOING
    assert json.loads(file.read_text()) == chosen


def test_ports_stay_from_run_to_run(file: Path) -> None:
    assert keep_ports(file, NAMES) == keep_ports(file, NAMES)


def test_port_that_somebody_took_is_replaced_and_the_others_stay(file: Path) -> None:
    before = keep_ports(file, NAMES)
    with socket.socket() as stranger:
        stranger.bind((LOOPBACK, before["part0"]))
        stranger.listen()
        after = keep_ports(file, NAMES)

    assert after["part0"] not in before.values()
    assert {**after, "part0": 0} == {**before, "part0": 0}


def test_fresh_name_gets_another_port_though_its_own_is_free(file: Path) -> None:
    before = keep_ports(file, ("one", "two"))
    after = keep_ports(file, ("one",), fresh=("one",))

    assert after["one"] not in before.values()
    assert json.loads(file.read_text())["two"] == before["two"]


def test_unreadable_note_is_no_obstacle(file: Path) -> None:
    file.write_text("{")

    assert set(keep_ports(file, ("one",))) == {"one"}
