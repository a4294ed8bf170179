import pytest

from heliograph.gateway.binding import refuse_open_binding, refuse_stranger

LOOPBACK = ("127.0.0.1", "127.8.9.1", "localhost", "LOCALHOST", "::1", "[::1]", "::ffff:127.0.0.1")
ELSEWHERE = ("0.0.0.0", "::", "", "192.168.1.5", "example.com", "localhost.example.com", "127.0.0.1.nip.io")


@pytest.mark.parametrize("host", LOOPBACK)
def test_without_keys_loopback_may_be_bound(host: str) -> None:
    assert refuse_open_binding(host, has_keys=False) is None


@pytest.mark.parametrize("host", ELSEWHERE)
def test_without_keys_nothing_else_may_be_bound(host: str) -> None:
    message = refuse_open_binding(host, has_keys=False)
    assert message is not None
    assert "heliograph keys create" in message
    assert refuse_open_binding(host, has_keys=True) is None


def code_of(*, method: str = "GET", host: str = "127.0.0.1:8000", origin: str | None = None, site: str | None = None):
    refusal = refuse_stranger(method=method, host=host, origin=origin, fetch_site=site)
    return refusal and refusal.code


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("127.0.0.1:8000", None),
        ("localhost", None),
        ("[::1]:8000", None),
        ("pictures.localhost:8000", None),
        ("evil.example:8000", "host_not_allowed"),
        ("127.0.0.1.evil.example", "host_not_allowed"),
        ("192.168.1.5:8000", "host_not_allowed"),
        ("", "host_not_allowed"),
    ],
)
def test_a_rebound_name_is_refused(host: str, code: str | None) -> None:
    assert code_of(host=host) == code


@pytest.mark.parametrize(
    ("method", "origin", "site", "code"),
    [
        ("POST", None, None, None),
        ("POST", "http://127.0.0.1:8000", "same-origin", None),
        ("POST", "http://127.0.0.1:8000", None, None),
        ("POST", "http://localhost:5173", "same-origin", None),
        ("POST", None, "none", None),
        ("POST", "http://localhost:5173", "same-site", "cross_site_request"),
        ("POST", "https://evil.example", "cross-site", "cross_site_request"),
        ("POST", "https://evil.example", None, "cross_site_request"),
        ("POST", "null", None, "cross_site_request"),
        ("DELETE", "https://evil.example", "cross-site", "cross_site_request"),
        ("GET", "https://evil.example", "cross-site", None),
    ],
)
def test_other_sites_cannot_change_anything(
    method: str, origin: str | None, site: str | None, code: str | None
) -> None:
    assert code_of(method=method, origin=origin, site=site) == code
