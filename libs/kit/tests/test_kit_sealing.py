"""Sealing: what opens, what does not, and what is never shown."""

import base64

import pytest
from voisnap_kit import sealing
from voisnap_kit.failures import SetUpFault
from voisnap_kit.sealing import CannotOpen, Keyring

pytestmark = pytest.mark.unit

OLD, NEW = b"o" * 32, b"n" * 32
HERE = ("ten_a", "live", "openai", "pcred_1")


def text(**keys):
    return ",".join(f"{key_id}:{base64.b64encode(key).decode()}" for key_id, key in keys.items())


def test_what_is_sealed_opens_in_its_context_and_shows_nothing_before():
    ring = Keyring({"k1": OLD})
    sealed = sealing.seal(ring, b"sk-very-secret", context=HERE)
    assert b"secret" not in sealed
    assert sealing.unseal(ring, sealed, context=HERE) == b"sk-very-secret"
    assert sealing.seal(ring, b"sk-very-secret", context=HERE) != sealed


@pytest.mark.parametrize(
    "context",
    [
        ("ten_b", "live", "openai", "pcred_1"),
        ("ten_a", "sandbox", "openai", "pcred_1"),
        ("ten_a", "live", "cohere", "pcred_1"),
        ("ten_a", "live", "openai", "pcred_2"),
        ("ten_a,live", "openai", "pcred_1"),
        ("ten_a", "live", "openaipcred_1"),
    ],
)
def test_elsewhere_it_does_not_open(context):
    ring = Keyring({"k1": OLD})
    sealed = sealing.seal(ring, b"secret", context=HERE)
    with pytest.raises(CannotOpen):
        sealing.unseal(ring, sealed, context=context)
    with pytest.raises(CannotOpen):
        sealing.rewrapped(ring, sealed, context=context)


def test_no_byte_can_be_changed():
    ring = Keyring({"k1": OLD})
    sealed = sealing.seal(ring, b"secret", context=HERE)
    for place in range(len(sealed)):
        damaged = bytearray(sealed)
        damaged[place] ^= 1
        with pytest.raises(CannotOpen):
            sealing.unseal(ring, bytes(damaged), context=HERE)
    for length in range(len(sealed)):
        with pytest.raises(CannotOpen):
            sealing.unseal(ring, sealed[:length], context=HERE)


def test_the_first_key_seals_and_all_open_until_the_old_one_is_no_longer_needed():
    sealed = sealing.seal(Keyring({"old": OLD}), b"secret", context=HERE)
    both = Keyring.parse(text(new=NEW, old=OLD))
    assert (both.current, sealing.sealed_with(sealed)) == ("new", "old")
    assert sealing.unseal(both, sealed, context=HERE) == b"secret"
    again = sealing.rewrapped(both, sealed, context=HERE)
    assert sealing.sealed_with(again) == "new"
    assert sealing.unseal(Keyring({"new": NEW}), again, context=HERE) == b"secret"
    with pytest.raises(CannotOpen):
        sealing.unseal(Keyring({"new": NEW}), sealed, context=HERE)
    with pytest.raises(CannotOpen):
        sealing.unseal(Keyring({"old": NEW}), sealed, context=HERE)


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ("", 1),
        (" , ", 1),
        ("nonsense", 1),
        ("k1:c2hvcnQ=", 1),
        ("k 1:" + base64.b64encode(OLD).decode(), 1),
        ("k1:" + base64.b64encode(OLD).decode()[:-1] + "!", 1),
        (text(k1=OLD) + "," + text(k1=NEW), 1),
        ("bad,k1:worse", 2),
    ],
)
def test_a_wrong_keyring_is_refused_without_showing_a_key(given, problems):
    with pytest.raises(SetUpFault) as refused:
        Keyring.parse(given)
    assert len(refused.value.problems) == problems
    assert all(part not in str(refused.value) for part in ("c2hvcnQ", "worse", base64.b64encode(OLD).decode()[:8]))


def test_a_keyring_shows_its_ids_only():
    assert repr(Keyring({"k1": OLD})) == "Keyring(k1)"
