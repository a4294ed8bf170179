"""The caching edge in front of the pictures: how its links are signed and how a copy is taken out of it.

Like `app.py`, whose part it is, it picks technologies.
"""

import json
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from heliograph.delivery.edge_signatures import EdgeSign, cloudfront_signer, nginx_signer
from heliograph.domain.errors import InvalidRequest, Unavailable
from heliograph.domain.keeping import Deletion
from heliograph.gateway.picture_links import Edge
from heliograph.outbound import Outbound, OutboundPolicy, checked_url, parsed_networks
from heliograph.settings import LinkSettings

OPERATORS_OWN = OutboundPolicy(allowed=parsed_networks(("0.0.0.0/0", "::/0")))
"""The operator names the address in the settings: it may be anywhere."""

PURGE_TIMEOUT_S = 10.0


def edge_of(settings: LinkSettings) -> Edge | None:
    """The edge that the settings describe, None where links lead to this server."""
    sign = edge_signer(settings)
    if settings.base_url is None:
        return None
    return Edge(base_url=settings.base_url, sign=sign, ttl_s=settings.edge_ttl_s, stale_s=settings.stale_s)


def edge_signer(settings: LinkSettings) -> EdgeSign | None:
    """How links are signed for the edge, None where it checks nothing. Raises `InvalidRequest` naming the setting."""
    if settings.signing == "none":
        return None
    if settings.base_url is None:
        raise InvalidRequest("setting links.signing needs links.base_url, where the edge is", param="links.base_url")
    if settings.signing == "nginx":
        if settings.secret is None or len(settings.secret.get_secret_value()) < 16:
            raise InvalidRequest(
                "setting links.secret: nginx's links need a secret of at least 16 characters (openssl rand -hex 32)",
                param="links.secret",
            )
        return nginx_signer(settings.secret.get_secret_value())
    if settings.key_id is None or settings.private_key_file is None:
        raise InvalidRequest(
            "setting links.signing: CloudFront's links need links.key_id and links.private_key_file",
            param="links.key_id",
        )
    try:
        return cloudfront_signer(settings.base_url, settings.key_id, settings.private_key_file.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise InvalidRequest(
            f"setting links.private_key_file: {settings.private_key_file} is no private key in PEM without a password "
            f"({error})",
            param="links.private_key_file",
        ) from error


def edge_purge(settings: LinkSettings, outbound: Outbound) -> Callable[[Deletion], Awaitable[None]] | None:
    """Takes the copies of one picture out of the edge; None where it is not told of deletions.

    Raises `InvalidRequest` for settings that cannot work.
    """
    if settings.purge == "none":
        return None
    if settings.purge_url is None:
        raise InvalidRequest("setting links.purge needs links.purge_url, where to ask for it", param="links.purge_url")
    destination = checked_url(settings.purge_url, OPERATORS_OWN, param="links.purge_url")
    host = urlsplit(settings.base_url or "").netloc
    headers = {"Content-Type": "application/json"}
    if settings.purge_token is not None:
        headers["Authorization"] = f"Bearer {settings.purge_token.get_secret_value()}"

    async def purge(deletion: Deletion) -> None:
        prefix = f"{host}/v1/outputs/{deletion.output_id}"
        reply = await outbound.call(
            destination,
            method="POST",
            headers=headers,
            body=json.dumps({"prefixes": [prefix]}).encode(),
            timeout_s=PURGE_TIMEOUT_S,
            bytes_max=65_536,
        )
        if reply.status != 200:
            why = reply.reason if reply.status is None else f"it answered {reply.status}"
            raise Unavailable(f"the edge did not purge {prefix}: {why}", code="edge_unavailable")

    return purge
