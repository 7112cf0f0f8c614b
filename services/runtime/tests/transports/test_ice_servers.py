import pytest
from voisnap_proto.requests import IceServer
from voisnap_runtime.transports.ice import MediaNetwork, server_addresses, username_of

pytestmark = pytest.mark.unit


def test_urls_are_read_with_their_defaults():
    urls = ("stun:stun.example.com", "turn:turn.example.com:3479?transport=tcp", "turns:[2001:db8::1]")
    addresses = server_addresses([IceServer(urls=urls, username="u", credential="c")])
    assert [(one.scheme, one.host, one.port, one.transport) for one in addresses] == [
        ("stun", "stun.example.com", 3478, "udp"),
        ("turn", "turn.example.com", 3479, "tcp"),
        ("turns", "2001:db8::1", 5349, "tcp"),
    ]
    assert addresses[1].username == "u"


def test_another_url_is_refused():
    with pytest.raises(ValueError, match="http"):
        server_addresses([IceServer(urls=("http://example.com",))])


def test_media_stay_on_loopback_unless_asked():
    assert MediaNetwork().addresses() == ["127.0.0.1"]
    assert MediaNetwork().is_loopback
    assert not MediaNetwork(bind=("*",)).is_loopback
    assert "127.0.0.1" in MediaNetwork(bind=("*",)).addresses()


def test_a_candidate_names_its_credentials():
    assert username_of("candidate:1 1 udp 1 127.0.0.1 5 typ host generation 0 ufrag UM0i network-id 1") == "UM0i"
    assert username_of("candidate:1 1 udp 1 127.0.0.1 5 typ host") is None
