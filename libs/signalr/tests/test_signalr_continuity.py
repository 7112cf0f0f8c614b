"""How a hub learns which connections its client held before: cookies, and the old id in the URL."""

import hashlib
import re

import msgspec
import pytest
from voisnap_signalr import Hub, NegotiatedConnection
from voisnap_signalr.continuity import MAX_AGE_S, MAX_KEPT, previous_connections, set_cookies
from voisnap_signalr.requests import HubRequest

pytestmark = pytest.mark.unit

NOW = 1_790_000_000.0


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def token(number: int) -> str:
    return f"node-1.{number:022d}"


def cookie(number: int, *, made_at: int) -> str:
    return f"hub-{made_at}-{number:06x}={token(number)}"


def request(*cookies: str, is_secure: bool = False) -> HubRequest:
    headers = {"cookie": "; ".join(cookies)} if cookies else {}
    return HubRequest("/hubs/echo/negotiate", {}, headers, None, is_negotiate=True, is_secure=is_secure)


def set_for(asked: HubRequest) -> list[str]:
    return set_cookies(asked, token(99), path="/hubs/echo", now=NOW, random_bytes=lambda size: b"\xab" * size)


def test_cookie_is_out_of_reach_of_scripts_and_other_sites() -> None:
    assert set_for(request()) == [
        f"hub-1790000000-ababab={token(99)}; Max-Age={MAX_AGE_S}; Path=/hubs/echo; HttpOnly; SameSite=Lax"
    ]
    assert set_for(request(is_secure=True))[0].endswith("; SameSite=Lax; Secure")


def test_oldest_cookies_end_when_there_are_too_many() -> None:
    kept = [cookie(number, made_at=1_789_000_000 + number) for number in range(MAX_KEPT + 1)]
    _, *ended = set_for(request("theme=dark", *kept))
    assert {line.partition("=")[0] for line in ended} == {line.partition("=")[0] for line in kept[:2]}
    assert all("Max-Age=0" in line and "Path=/hubs/echo" in line for line in ended)


def test_previous_connections_are_the_newest_first_and_bounded() -> None:
    kept = [cookie(number, made_at=1_789_000_000 + number) for number in range(20)]
    known = previous_connections(request(*kept), old_id=None)
    assert known == tuple(digest(token(number)) for number in range(19, 19 - MAX_KEPT, -1))


def test_old_id_of_the_url_counts_as_the_newest_and_once() -> None:
    kept = [cookie(1, made_at=1_789_000_001), cookie(2, made_at=1_789_000_002)]
    assert previous_connections(request(*kept), old_id=token(1)) == (digest(token(1)), digest(token(2)))


@pytest.mark.parametrize(
    "other",
    [
        "session=" + "a" * 22,
        "hub-abc-123456=" + "a" * 22,
        "hub-1789000000-123456=short",
        'hub-1789000000-123456="quoted" value ' + "a" * 22,
        "hub-1789000000-123456=" + "a" * 300,
        "hub-1789000000-12345g=" + "a" * 22,
        "=;=;;",
    ],
)
def test_other_cookies_are_not_read(other) -> None:
    assert previous_connections(request(other), old_id="\x00") == ()


class Echo(Hub):
    seen: list[tuple[str, tuple[str, ...]]]

    async def on_connected(self) -> None:
        type(self).seen.append((self.connection.digest, self.connection.previous))


@pytest.fixture
def seen() -> list[tuple[str, tuple[str, ...]]]:
    Echo.seen = []
    return Echo.seen


async def test_hub_learns_what_the_negotiation_was_told(hub_app, connect, http, seen) -> None:
    app = hub_app({"echo": Echo}, continuity=True, node="node-1", wall_clock=lambda: NOW)
    first = await http(app, "POST", "/Hubs/Echo/negotiate", "negotiateVersion=1")
    made = first.headers["set-cookie"].partition(";")[0]
    assert "Path=/Hubs/Echo;" in first.headers["set-cookie"], "a cookie's path knows the case"
    old = first.json()["connectionToken"]
    assert re.fullmatch(r"node-1\.[\w-]{22}", old)
    query = f"negotiateVersion=1&id={token(7)}"
    second = (await http(app, "POST", "/hubs/echo/negotiate", query, {"cookie": made})).json()["connectionToken"]
    await connect(app, "/hubs/echo", f"id={token(7)}&id={second}").open()
    assert seen == [(digest(second), (digest(token(7)), digest(old)))]


async def test_socket_without_negotiation_takes_part(hub_app, connect, seen) -> None:
    app = hub_app({"echo": Echo}, continuity=True, wall_clock=lambda: NOW)
    socket = connect(app, "/hubs/echo", headers={"cookie": cookie(3, made_at=1_789_000_000)})
    (name, value), *others = (await socket.raw())["headers"]
    assert (name, others) == (b"set-cookie", [])
    socket.send_text('{"protocol":"json","version":1}\x1e')
    assert await socket.message() == {}
    made = value.decode().partition("=")[2].partition(";")[0]
    assert seen == [(digest(made), (digest(token(3)),))]


async def test_without_continuity_nothing_is_set_and_nothing_read(hub_app, connect, http, seen) -> None:
    app = hub_app({"echo": Echo})
    headers = {"cookie": cookie(3, made_at=1_789_000_000)}
    answer = await http(app, "POST", "/hubs/echo/negotiate", f"negotiateVersion=1&id={token(7)}", headers)
    assert "set-cookie" not in answer.headers
    await connect(app, "/hubs/echo", f"id={answer.json()['connectionToken']}", headers=headers).open()
    assert seen[0][1] == ()


def test_what_is_known_survives_a_shared_store() -> None:
    promised = NegotiatedConnection(
        connection_id="c", connection_token=token(1), hub="/hubs/echo", previous=(digest("a"),), user="b"
    )
    assert msgspec.json.decode(msgspec.json.encode(promised), type=NegotiatedConnection) == promised
