"""The package covers the API's OpenAPI document: every operation, with its arguments, in both clients."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
import voisnap
from voisnap import _resources

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
DOCUMENT = json.loads((ROOT / "proto/openapi/api.json").read_text())
OPERATIONS = {
    operation["operationId"]: (path, operation)
    for path, operations in DOCUMENT["paths"].items()
    for operation in operations.values()
}


def method_of(client: object, operation: str) -> object:
    found = client
    for name in operation.split("."):
        found = getattr(found, name)
    return found


def test_the_table_of_operations_is_that_of_the_document() -> None:
    assert set(OPERATIONS) == _resources.OPERATIONS


@pytest.mark.parametrize("kind", [voisnap.VoisnapClient, voisnap.AsyncVoisnapClient])
@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_every_operation_is_a_method_with_its_parameters(kind: type, operation: str) -> None:
    path, documented = OPERATIONS[operation]
    method = method_of(kind(api_key="vsnp_live_x"), operation)

    arguments = inspect.signature(method).parameters
    wanted = {one["name"] for one in documented.get("parameters", ()) if "in" in one and one["in"] in {"path", "query"}}
    assert {_wire(name) for name in arguments} >= wanted, path
    assert method.__doc__


def _wire(name: str) -> str:
    return voisnap._wire.camel(name)


def test_the_generated_modules_are_those_of_the_document() -> None:
    command = [
        sys.executable,
        str(ROOT / "libs/sdk-python/generate.py"),
        "--check",
        str(ROOT / "proto/openapi/api.json"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603

    assert done.returncode == 0, done.stderr
