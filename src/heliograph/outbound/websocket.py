"""A guarded WebSocket: resolved, checked and connected to the very address that was checked, like `http.py`."""

import ssl

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from heliograph.outbound.guard import Destination, OutboundPolicy
from heliograph.outbound.http import Resolve, checked_addresses, system_resolve

OPEN_S_MAX = 10.0


async def open_websocket(
    destination: Destination,
    policy: OutboundPolicy,
    *,
    user_agent: str,
    message_bytes_max: int,
    resolve: Resolve = system_resolve,
) -> ClientConnection:
    """The open connection. Raises `OSError` where none can be made, with a sentence that says why."""
    allowed, problem = await checked_addresses(destination, policy, resolve)
    if not allowed:
        raise OSError(f"not called: {problem}")
    is_encrypted = destination.scheme == "https"
    try:
        return await connect(
            f"{'wss' if is_encrypted else 'ws'}://{destination.authority}{destination.path}",
            host=str(allowed[0]),
            port=destination.port,
            ssl=ssl.create_default_context() if is_encrypted else None,
            server_hostname=destination.host if is_encrypted else None,
            proxy=None,
            compression=None,
            user_agent_header=user_agent,
            open_timeout=OPEN_S_MAX,
            max_size=message_bytes_max,
        )
    except (WebSocketException, TimeoutError) as error:
        raise OSError(f"the connection failed: {type(error).__name__}") from error
