"""Addresses that customers may name, and those that nobody may make us call."""

from ipaddress import ip_address

import pytest
from voisnap_domain.endpoints import endpoint_fault, is_forbidden, origin_fault

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com",
        "https://api.example.com:8443/v1?x=1",
        "https://xn--bcher-kva.example/",
        "https://10.0.0.5/v1",
        "https://[2001:db8::1]/",
        "http://localhost:8000/v1",
        "http://127.0.0.1:1234",
        "http://[::1]:8000/",
        "https://my_host.internal/",
    ],
)
def test_what_may_be_called(url) -> None:
    assert endpoint_fault(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com",
        "/v1",
        "ftp://example.com",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://example.com",
        "https://",
        "https://exa mple.com",
        "https://example.com/\n",
        "https://user:pass@example.com",
        "https://user@example.com",
        "https://example.com/#x",
        "https://example.com:99999/",
        "https://[::1",
        "https://bücher.example/",
        "https://-x.example/",
        "https://" + "a" * 64 + ".example/",
        "https://example.com/" + "x" * 2000,
        # metadata services and the link, in every spelling
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.169.254/",
        "https://0xA9FEA9FE/",
        "https://2852039166/",
        "https://0251.0376.0251.0376/",
        "https://169.254.43518/",
        "https://[fe80::1]/",
        "https://[fe80::1%25eth0]/",
        "https://[::ffff:169.254.169.254]/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://[2002:a9fe:a9fe::]/",
        "https://[fd00:ec2::254]/",
        "https://100.100.100.200/",
        "https://metadata.google.internal/",
        "https://METADATA.google.internal./",
        "https://metadata/",
        "https://0.0.0.0/",
        "https://[::]/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
    ],
)
def test_what_may_not_be_called(url) -> None:
    assert endpoint_fault(url) is not None


def test_placeholders_stand_behind_the_host() -> None:
    assert endpoint_fault("https://a.example/{{id}}?q={{q}}", placeholders=True) is None
    assert endpoint_fault("https://a.example/{{ id }}", placeholders=True) is None
    assert endpoint_fault("https://{{host}}/", placeholders=True) is not None
    assert endpoint_fault("{{url}}", placeholders=True) is not None
    assert endpoint_fault("https://a.example/{{id}}") is None  # braces are no placeholder there, only signs


@pytest.mark.parametrize(
    ("origin", "fine"),
    [
        ("https://shop.example.com", True),
        ("https://shop.example.com:8443", True),
        ("http://localhost:3000", True),
        ("http://127.0.0.1:3000", True),
        ("http://shop.example.com", False),
        ("https://shop.example.com/", False),
        ("https://Shop.example.com", False),
        ("https://shop.example.com?x", False),
        ("https://*.example.com", False),
        ("https://a@shop.example.com", False),
        ("null", False),
        ("", False),
    ],
)
def test_origins_of_pages(origin, fine) -> None:
    assert (origin_fault(origin) is None) is fine


def test_addresses_that_a_name_may_not_resolve_to() -> None:
    forbidden = [
        text for text in ("169.254.1.1", "::ffff:169.254.169.254", "ff02::1", "::") if is_forbidden(ip_address(text))
    ]
    allowed = [
        text for text in ("127.0.0.1", "::1", "10.0.0.1", "8.8.8.8", "2001:4860::1") if is_forbidden(ip_address(text))
    ]
    assert (len(forbidden), allowed) == (4, [])
