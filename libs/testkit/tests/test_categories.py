"""With `-m` files of other kinds are not read; those that say no kind are, and are told so."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from voisnap_testkit.plugin import pytest_collection_modifyitems, pytest_ignore_collect

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "wanted", "is_left_out"),
    [
        ("pytestmark = pytest.mark.slice", "e2e or media", True),
        ("pytestmark = pytest.mark.slice", "slice or hub", None),
        ("pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]", "unit", None),
        ("def test_nothing() -> None: ...", "unit or conformance", None),
        ("pytestmark = pytest.mark.slice", "", None),
        ("pytestmark = pytest.mark.slice", "not unit", None),
    ],
)
def test_a_file_is_left_out_only_where_all_its_kinds_are(
    tmp_path: Path, text: str, wanted: str, is_left_out: bool | None
) -> None:
    (tmp_path / "test_it.py").write_text(text)
    config = cast(Any, SimpleNamespace(option=SimpleNamespace(markexpr=wanted)))
    assert pytest_ignore_collect(tmp_path / "test_it.py", config) is is_left_out


def test_a_test_of_no_kind_is_an_error() -> None:
    item = cast(Any, SimpleNamespace(path=Path("test_it.py"), iter_markers=lambda: iter(())))
    with pytest.raises(pytest.UsageError, match=r"no category marker .* in: test_it\.py"):
        pytest_collection_modifyitems([item])
