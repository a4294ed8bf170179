"""Which addresses may be called, as a table."""

from ipaddress import ip_address

import pytest

from heliograph.domain.errors import InvalidRequest
from heliograph.outbound.guard import OutboundPolicy, checked_url, parsed_networks, refuse_address

PUBLIC_ONLY = OutboundPolicy()
WITH_NETWORKS = OutboundPolicy(allowed=parsed_networks(("10.1.0.0/16", "fd00:1::/32", "127.0.0.1/32")))

NOT_PUBLIC = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.8",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "fc00::1",
    "fd12:3456::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "100::1",
]
PUBLIC = ["93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_what_is_not_public_is_refused(address: str) -> None:
    assert refuse_address(ip_address(address), scheme="https", policy=PUBLIC_ONLY) is not None


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_may_be_called_over_https_only(address: str) -> None:
    assert refuse_address(ip_address(address), scheme="https", policy=PUBLIC_ONLY) is None
    refused = refuse_address(ip_address(address), scheme="http", policy=PUBLIC_ONLY)
    assert refused == "public addresses are called over https only"


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "fd00:1::7", "127.0.0.1"])
def test_what_the_operator_allows_may_be_called_either_way(address: str, scheme: str) -> None:
    assert refuse_address(ip_address(address), scheme=scheme, policy=WITH_NETWORKS) is None


@pytest.mark.parametrize("address", ["10.2.0.1", "169.254.169.254", "127.0.0.2", "fd00:2::1"])
def test_the_neighbours_of_an_allowed_network_stay_closed(address: str) -> None:
    assert refuse_address(ip_address(address), scheme="https", policy=WITH_NETWORKS) is not None


@pytest.mark.parametrize(
    ("url", "origin", "path"),
    [
        ("https://example.com", "https://example.com", "/"),
        ("https://example.com/hook?order=17", "https://example.com", "/hook?order=17"),
        ("https://EXAMPLE.com.:8443/a/b", "https://example.com:8443", "/a/b"),
        ("https://example.com:443/a", "https://example.com", "/a"),
        ("https://example.com/a#fragment", "https://example.com", "/a"),
        ("https://[2606:2800:21f:cb07::1]/a", "https://[2606:2800:21f:cb07::1]", "/a"),
        ("https://xn--bcher-kva.example/a", "https://xn--bcher-kva.example", "/a"),
    ],
)
def test_a_url_leads_somewhere(url: str, origin: str, path: str) -> None:
    found = checked_url(url, PUBLIC_ONLY, param="url")
    assert (found.origin, found.path) == (origin, path)


@pytest.mark.parametrize(
    "url",
    [
        None,
        7,
        "",
        "example.com/hook",
        "/hook",
        "ftp://example.com",
        "file:///etc/passwd",
        "gopher://example.com",
        "http://example.com",
        "https://",
        "https:///path",
        "https://user:secret@example.com",
        "https://example.com@evil.example",
        "https://example.com\\@evil.example",
        "https://exa mple.com",
        "https://example.com/\r\nX-Header: 1",
        "https://bücher.example",
        "https://example..com",
        "https://example.com:99999",
        "https://example.com:port",
        "https://127.0.0.1/hook",
        "https://[::1]/hook",
        "https://[::ffff:169.254.169.254]/latest/meta-data",
        "https://[fe80::1%25eth0]/",
        "https://169.254.169.254/latest/meta-data",
        "https://example.com/" + "a" * 2048,
    ],
)
def test_a_url_that_can_never_be_called_is_refused_by_the_name_of_its_field(url: object) -> None:
    with pytest.raises(InvalidRequest) as refused:
        checked_url(url, PUBLIC_ONLY, param="webhook")
    assert (refused.value.param, refused.value.code) == ("webhook", "url_not_allowed")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/hook", "http://10.1.0.1/hook", "http://internal.example/hook"])
def test_with_allowed_networks_plain_http_is_decided_by_address(url: str) -> None:
    assert checked_url(url, WITH_NETWORKS, param="url").scheme == "http"
