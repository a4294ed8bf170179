"""Which addresses the server may call on a user's behalf: public ones, and networks that the operator allows.

A server that fetches what users name can be made to call its own neighbours: the cloud's metadata service, databases
without passwords, itself. So a URL is checked twice. Its text when it is given, which catches mistakes early; and, what
counts, the address it resolves to, right before the connection is made to that very address: a name may resolve to
something else a moment later. IPv4 addresses hidden in IPv6 ones (mapped, NAT64, 6to4, Teredo) are taken out and
checked as what they are.

Without encryption only networks are called that the operator allows by name.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from heliograph.domain.errors import InvalidRequest

URL_CHARS_MAX = 2_048
_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?", re.ASCII)
_PORTS = {"https": 443, "http": 80}

_NAT64 = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))
_NEVER = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",
            "168.63.129.16/32",
            "192.0.0.0/24",
            "192.88.99.0/24",
            "198.18.0.0/15",
            "240.0.0.0/4",
            "::/96",
            "100::/64",
            "2001::/23",
            "2001:db8::/32",
            "5f00::/16",
            "fec0::/10",
        ),
    )
)
"""Where no public service lives, besides what Python's `is_global` knows in every version: documentation, benchmarks,
reserved and translated ranges, and the address at which Azure answers its own machines."""

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundPolicy:
    """What may be called besides public addresses over HTTPS: `allowed` networks, there also without encryption."""

    allowed: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a URL leads. `host` is a name or an address without brackets, `path` begins with a slash and has the query
    too. `origin` is scheme, host and port, without the port where it is the scheme's own."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Host and port as the `Host` header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """For example `https://example.com:8443`."""
        return f"{self.scheme}://{self.authority}"


def checked_url(url: object, policy: OutboundPolicy, *, param: str) -> Destination:
    """Where `url` leads. Raises `InvalidRequest` naming `param` for one that can never be called."""
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or re.search(r"[\s\\]", url):
        raise _refused("must be an address in ASCII, such as https://example.com/hook", param)
    if len(url) > URL_CHARS_MAX:
        raise _refused(f"must have at most {URL_CHARS_MAX} characters", param)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _refused(f"is not an address: {error}", param) from error
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in _PORTS:
        raise _refused("must begin with https://", param)
    if not host or (":" not in host and _NAME.fullmatch(host) is None):
        raise _refused("names no host", param)
    if "@" in parts.netloc:
        raise _refused("must not hold a user or a password", param)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    found = Destination(scheme=parts.scheme, host=host, port=port or _PORTS[parts.scheme], path=path)
    problem = _refuse_text(found, policy)
    if problem is not None:
        raise _refused(problem, param)
    return found


def refuse_address(address: Address, *, scheme: str, policy: OutboundPolicy) -> str | None:
    """Why a connection to `address` must not be made, or None when it may."""
    meant = _unwrapped(address)
    if any(meant in network or address in network for network in policy.allowed):
        return None
    if not _is_public(meant):
        return "it leads into a network that is not public; the operator can allow it (outbound.allowed_networks)"
    if scheme != "https":
        return "public addresses are called over https only"
    return None


def parsed_networks(names: tuple[str, ...]) -> tuple[Network, ...]:
    """The networks of a setting, such as `192.0.2.0/24`. Raises `ValueError`."""
    return tuple(ip_network(name) for name in names)


def _refuse_text(destination: Destination, policy: OutboundPolicy) -> str | None:
    """What can be said without resolving the name."""
    try:
        address = ip_address(destination.host.partition("%")[0])
    except ValueError:
        is_http = destination.scheme == "http"
        # The name may resolve to an allowed network; with none allowed it cannot.
        return "must begin with https://" if is_http and not policy.allowed else None
    return refuse_address(address, scheme=destination.scheme, policy=policy)


def _unwrapped(address: Address) -> Address:
    """The address that is really meant: an IPv4 one may be wrapped in an IPv6 one."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _NAT64):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _is_public(address: Address) -> bool:
    if address.is_multicast or not address.is_global:
        return False
    return not any(address in network for network in _NEVER)


def _refused(problem: str, param: str) -> InvalidRequest:
    return InvalidRequest(f"{param}: {problem}.", param=param, code="url_not_allowed")
