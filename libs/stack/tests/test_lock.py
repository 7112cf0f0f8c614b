import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

LOCK = Path(__file__).resolve().parents[3] / "requirements.lock"


def test_the_lock_names_no_address_and_no_folder() -> None:
    for line in LOCK.read_text().splitlines():
        assert not re.search(
            r"https?:|file:|://|(^|\s)(-i|-f|-e|--index\S*|--extra\S*|--find-links)\b|(^|[\s@])[./~]", line
        ), line


def test_every_requirement_is_pinned_and_hashed() -> None:
    requirements = LOCK.read_text().replace(" \\\n", " ").splitlines()
    assert len(requirements) > 50
    for line in requirements:
        assert re.match(r"^[A-Za-z0-9._\[\]-]+==\S+", line), line
        assert "--hash=sha256:" in line, line
