"""Access tokens: signed by one key, verified by a published key set, refused for every other reason."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest
from voisnap_domain.errors import Unauthenticated
from voisnap_kit.tokens import InvalidToken, JwksClient, TokenSigner, generate_private_key, parse_jwks, verify

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


def signed(signer: TokenSigner, *, now: datetime = NOW) -> str:
    return signer.sign(
        subject="usr_1",
        tenant_id="ten_1",
        environment="sandbox",
        role="TenantOwner",
        scopes=frozenset({"hub", "agents:read"}),
        now=now,
        lifetime=timedelta(minutes=15),
        token_id="tok_1",
        session_id="wrtc_1",
    )


def test_claims_survive_signing_and_verifying() -> None:
    signer = TokenSigner.generate()
    claims = verify(signed(signer), signer.keys(), now=NOW)
    assert (claims.sub, claims.tid, claims.env, claims.role, claims.sid, claims.pa) == (
        "usr_1",
        "ten_1",
        "sandbox",
        "TenantOwner",
        "wrtc_1",
        False,
    )
    assert claims.scopes == {"hub", "agents:read"}
    assert claims.exp - claims.iat == 900
    assert jwt.get_unverified_header(signed(signer)) == {"alg": "EdDSA", "typ": "JWT", "kid": signer.kid}


def test_the_published_key_set_verifies_and_holds_no_private_key() -> None:
    signer = TokenSigner.generate()
    document = json.loads(json.dumps(signer.jwks()))
    assert verify(signed(signer), parse_jwks(document), now=NOW).sub == "usr_1"
    assert "d" not in document["keys"][0]


def test_the_key_id_is_the_keys_thumbprint_and_stays() -> None:
    pem = generate_private_key()
    assert TokenSigner(pem).kid == TokenSigner(pem).kid != TokenSigner.generate().kid


@pytest.mark.parametrize(
    ("after", "fine"),
    [(timedelta(minutes=14), True), (timedelta(minutes=15, seconds=9), True), (timedelta(minutes=16), False)],
)
def test_a_token_expires(after: timedelta, fine: bool) -> None:
    signer = TokenSigner.generate()
    if fine:
        verify(signed(signer), signer.keys(), now=NOW + after)
    else:
        with pytest.raises(InvalidToken, match="expired"):
            verify(signed(signer), signer.keys(), now=NOW + after)


def test_a_token_from_the_future_is_refused() -> None:
    signer = TokenSigner.generate()
    with pytest.raises(InvalidToken, match="not valid yet"):
        verify(signed(signer), signer.keys(), now=NOW - timedelta(minutes=1))


def _with_other_signature(token: str) -> str:
    other = TokenSigner.generate()
    return ".".join((*token.split(".")[:2], signed(other).split(".")[2]))


def _with_other_algorithm(token: str) -> str:
    payload = jwt.decode(token, options={"verify_signature": False})
    kid = jwt.get_unverified_header(token)["kid"]
    return jwt.encode(payload, "0123456789abcdef0123456789abcdef", algorithm="HS256", headers={"kid": kid})


def _unsigned(token: str) -> str:
    payload = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode(payload, None, algorithm="none", headers={"kid": jwt.get_unverified_header(token)["kid"]})


@pytest.mark.parametrize(
    "forge", [_with_other_signature, _with_other_algorithm, _unsigned, lambda _: "x", lambda _: "", lambda t: t[:-4]]
)
def test_forged_tokens_are_refused(forge: Callable[[str], str]) -> None:
    signer = TokenSigner.generate()
    with pytest.raises(Unauthenticated):
        verify(forge(signed(signer)), signer.keys(), now=NOW)


def test_only_ed25519_keys_sign() -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(ValueError, match="not an Ed25519"):
        TokenSigner(pem)


class Publisher:
    """A key set over HTTP whose keys and health the test decides."""

    def __init__(self, *signers: TokenSigner) -> None:
        self.signers = list(signers)
        self.down = False
        self.fetches = 0

    def __call__(self, _request: httpx.Request) -> httpx.Response:
        self.fetches += 1
        if self.down:
            return httpx.Response(503)
        return httpx.Response(200, json={"keys": [signer.jwks()["keys"][0] for signer in self.signers]})


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def client_of(publisher: Publisher, clock: Clock) -> JwksClient:
    return JwksClient(
        "http://keys/jwks.json", http=httpx.AsyncClient(transport=httpx.MockTransport(publisher)), clock=clock
    )


async def test_keys_are_fetched_once_and_again_for_an_unknown_key_at_most_every_ten_seconds() -> None:
    first, second, stranger = TokenSigner.generate(), TokenSigner.generate(), TokenSigner.generate()
    publisher, clock = Publisher(first), Clock()
    keys = client_of(publisher, clock)
    for _ in range(3):
        await keys.verify(signed(first), now=NOW)
    assert publisher.fetches == 1
    publisher.signers.append(second)
    with pytest.raises(InvalidToken, match="unknown key"):
        await keys.verify(signed(second), now=NOW)
    assert publisher.fetches == 1
    clock.now += 10
    assert (await keys.verify(signed(second), now=NOW)).sub == "usr_1"
    with pytest.raises(InvalidToken):
        await keys.verify(signed(stranger), now=NOW)
    assert publisher.fetches == 2
    await keys.close()


async def test_known_keys_stay_in_use_while_the_publisher_is_away() -> None:
    signer = TokenSigner.generate()
    publisher, clock = Publisher(signer), Clock()
    keys = client_of(publisher, clock)
    await keys.refresh()
    publisher.down = True
    clock.now += 100
    assert not await keys.refresh()
    assert (await keys.verify(signed(signer), now=NOW)).sub == "usr_1"
    await keys.check()
    await keys.close()


async def test_without_any_key_the_check_fails_and_asks_again_soon() -> None:
    publisher, clock = Publisher(TokenSigner.generate()), Clock()
    publisher.down = True
    keys = client_of(publisher, clock)
    with pytest.raises(RuntimeError):
        await keys.check()
    publisher.down = False
    clock.now += 0.5
    await keys.check()
    assert publisher.fetches == 2
    await keys.close()
