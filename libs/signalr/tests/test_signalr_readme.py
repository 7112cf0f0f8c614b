"""The README's example works as printed."""

import re
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.unit

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture
def example() -> Any:
    source = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert source
    names: dict[str, Any] = {"__name__": "greeter"}
    exec(compile(source[1], str(README), "exec"), names)  # noqa: S102 - our own documentation
    return names["app"]


async def test_example_greets(example, connect, http) -> None:
    answer = await http(example, "POST", "/hubs/greeter/negotiate", "negotiateVersion=1&access_token=let-me-in")
    token = answer.json()["connectionToken"]
    socket = await connect(example, "/hubs/greeter", f"access_token=let-me-in&id={token}").open()
    assert (await socket.message())["target"] == "Ready"
    socket.invoke("GreetAsync", {"firstName": "Ada", "times": 2})
    assert (await socket.message())["arguments"] == ["Ada"]
    assert (await socket.message())["result"] == "Hello Ada, Hello Ada"
    socket.invoke("GreetAsync", {"firstName": "Ada", "times": 4})
    assert (await socket.message())["error"].endswith("HubException: That is too much.")


async def test_example_refuses_strangers(example, http) -> None:
    assert (await http(example, "POST", "/hubs/greeter/negotiate")).status == 401
