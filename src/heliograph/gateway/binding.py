"""Who may reach a server without keys: this machine's own programs and pages, nobody else.

Listening on loopback is not enough for that, because every web page in the user's browser can reach loopback too. It
can send a form to `http://127.0.0.1:8000` (a cross-site request), and it can point a name of its own at 127.0.0.1 and
read the answers as well (DNS rebinding). The first shows in `Sec-Fetch-Site` or `Origin`, the second in `Host`.
"""

from ipaddress import ip_address

from heliograph.domain.errors import PermissionDenied

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def is_loopback(host: str) -> bool:
    """`host`, a name or address without a port, can only mean this machine."""
    name = host.removeprefix("[").removesuffix("]").removesuffix(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def refuse_open_binding(host: str, has_keys: bool) -> str | None:
    """Why the server must not listen on `host`, with the fix, or None when it may."""
    if has_keys or is_loopback(host):
        return None
    return (
        f"Refusing to listen on {host or 'every address'} without API keys: anybody who can reach this machine "
        "could use it. Make a key first (`heliograph keys create`) or listen on 127.0.0.1."
    )


def refuse_stranger(*, method: str, host: str, origin: str | None, fetch_site: str | None) -> PermissionDenied | None:
    """Why a server without keys does not serve this request, or None when it does. Arguments are header values."""
    if not is_loopback(_without_port(host)):
        return PermissionDenied(
            f"This server has no API keys and answers to loopback names only, not to {host!r}. "
            "Use http://127.0.0.1 or http://localhost, or make a key (`heliograph keys create`).",
            code="host_not_allowed",
        )
    if method in _SAFE_METHODS:
        return None
    is_own_page = fetch_site in ("same-origin", "none") if fetch_site else origin is None or _authority(origin) == host
    if is_own_page:
        return None
    return PermissionDenied(
        f"A page of {origin or 'another site'} may not use this server, because it has no API keys. "
        "Use its own page, or make a key (`heliograph keys create`).",
        code="cross_site_request",
    )


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0]
    return host.partition(":")[0]


def _authority(origin: str) -> str:
    return origin.partition("://")[2]
