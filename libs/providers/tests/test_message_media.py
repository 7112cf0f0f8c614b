"""Where media of messages is fetched from, and who is shown the credentials on the way."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from voisnap_domain.texting import MessageFailure
from voisnap_providers.errors import MessageRefused, ProviderError
from voisnap_providers.vendors.message_http import MAX_REDIRECTS, MessageHttp

pytestmark = pytest.mark.unit

HOME = "https://api.network.example"


@pytest.fixture
def seen() -> list[httpx.Request]:
    return []


@pytest.fixture
def answering(seen: list[httpx.Request]) -> Iterator[Callable[..., MessageHttp]]:
    """A network whose hosts answer as told, `{address: (status, headers, content)}`."""

    def made(answers: dict[str, tuple[int, dict[str, str], bytes]]) -> MessageHttp:
        def answer(request: httpx.Request) -> httpx.Response:
            seen.append(request)
            status, headers, content = answers[str(request.url)]
            return httpx.Response(status, headers=headers, stream=httpx.ByteStream(content))

        http = MessageHttp(
            "network",
            base_url=HOME,
            auth=("user", "s3cret"),
            headers={"X-Key": "s3cret"},
            media_hosts=(".cdn.example",),
            trusted_hosts=(".trusted.example",),
        )
        http._media = httpx.AsyncClient(transport=httpx.MockTransport(answer), follow_redirects=False)
        return http

    return made


async def test_credentials_are_shown_at_home_and_to_trusted_hosts_alone(answering, seen) -> None:
    http = answering(
        {
            f"{HOME}/m/1": (307, {"location": "https://store.trusted.example/1"}, b""),
            "https://store.trusted.example/1": (302, {"location": "https://a.cdn.example/1?token=x"}, b""),
            "https://a.cdn.example/1?token=x": (200, {"content-type": "Audio/OGG; codecs=opus"}, b"OggS"),
        }
    )
    fetched = await http.fetched("/m/1", most=100)
    assert (fetched.content, fetched.content_type) == (b"OggS", "audio/ogg")
    shown = [("authorization" in request.headers, "x-key" in request.headers) for request in seen]
    assert shown == [(True, True), (True, True), (False, False)]


@pytest.mark.parametrize(
    "place",
    [
        "http://a.cdn.example/1",
        "https://cdn.example.evil.example/1",
        "https://evilcdn.example/1",
        "http://api.network.example/1",
        "https://api.network.example:8443/1",
        "https://127.0.0.1/1",
        "//evil.example/1",
        "file:///etc/passwd",
        "https://user@evil.example/1",
    ],
)
async def test_nothing_is_fetched_from_elsewhere_also_behind_a_redirect(answering, seen, place: str) -> None:
    http = answering({f"{HOME}/m/1": (302, {"location": place}, b"")})
    for address in (f"{HOME}/m/1", place):
        with pytest.raises(MessageRefused) as refused:
            await http.fetched(address, most=100)
        assert refused.value.failure is MessageFailure.CONTENT
    assert [str(request.url) for request in seen] == [f"{HOME}/m/1"]


async def test_redirects_end(answering, seen) -> None:
    http = answering({f"{HOME}/m/1": (302, {"location": "/m/1"}, b"")})
    with pytest.raises(MessageRefused):
        await http.fetched("/m/1", most=100)
    assert len(seen) == MAX_REDIRECTS + 1


@pytest.mark.parametrize(
    ("status", "failure", "retryable"),
    [(404, MessageFailure.EXPIRED, False), (410, MessageFailure.EXPIRED, False), (403, None, False), (503, None, True)],
)
async def test_what_is_not_there_is_gone_and_what_may_come_back_may_be_asked_again(
    answering, status: int, failure: MessageFailure | None, retryable: bool
) -> None:
    http = answering({f"{HOME}/m/1": (status, {}, b"PRIVATE")})
    with pytest.raises(ProviderError) as raised:
        await http.fetched("/m/1", most=100)
    assert (getattr(raised.value, "failure", None), raised.value.retryable) == (failure, retryable)
    assert "PRIVATE" not in raised.value.detail


async def test_more_than_is_wanted_is_not_read(answering) -> None:
    http = answering({f"{HOME}/m/1": (200, {}, b"x" * 101)})
    with pytest.raises(MessageRefused):
        await http.fetched("/m/1", most=100)
    assert len((await http.fetched("/m/1", most=101)).content) == 101
