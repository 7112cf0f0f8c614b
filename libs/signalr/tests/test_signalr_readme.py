"""The README's examples work as printed."""

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from voisnap_signalr import HubApp

pytestmark = pytest.mark.unit

README = Path(__file__).parents[1] / "README.md"


def block(beginning: str) -> str:
    """The Python block that begins with these words."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (found,) = [source for source in blocks if source.startswith(beginning)]
    return found


def run(source: str, name: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": name}
    exec(compile(source, str(README), "exec"), names)  # noqa: S102 - our own documentation
    return names


@pytest.fixture
def example() -> Any:
    return run(block("import msgspec"), "greeter")["app"]


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


async def test_hubs_go_in_front_of_another_application(http, monkeypatch) -> None:
    class Application:
        """Stands for the framework, which the hub layer does not know."""

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 299, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    greeter, framework = ModuleType("greeter"), ModuleType("starlette.applications")
    vars(greeter).update(run(block("import msgspec"), "greeter"))
    vars(framework).update(Starlette=Application)
    for module in (greeter, ModuleType("starlette"), framework):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    app = run(block("from greeter"), "site")["app"]
    assert (await http(app, "POST", "/hubs/greeter/negotiate", "access_token=let-me-in")).status == 200
    assert (await http(app, "GET", "/")).status == 299


async def test_example_streams_both_ways_and_asks_the_client(connect) -> None:
    async def admit(_request: Any) -> str:
        return "somebody"

    hub = run(block("from collections.abc"), "workshop")["WorkshopHub"]
    socket = await connect(HubApp({"workshop": hub}, authenticate=admit), "/hubs/workshop").open()
    socket.send({"type": 4, "invocationId": "1", "target": "Count", "arguments": [2]})
    assert [(await socket.message()).get("item") for _ in range(3)] == [0, 1, None]
    socket.send(
        {"type": 1, "invocationId": "2", "target": "Sum", "arguments": [10], "streamIds": ["s"]},
        {"type": 2, "invocationId": "s", "item": 5},
        {"type": 3, "invocationId": "s"},
    )
    assert (await socket.message())["result"] == 15
    for is_sure, name in ((True, "Ada"), (False, "unchanged")):
        socket.invoke("Rename", "Ada", invocation_id="3")
        question = await socket.message()
        assert question["arguments"] == ["Rename to Ada?"]
        socket.send({"type": 3, "invocationId": question["invocationId"], "result": is_sure})
        assert (await socket.message())["result"] == name
