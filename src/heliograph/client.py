"""A small client of the native API, for the command line: over TCP to a running server, or over a Unix socket to one
that lives only as long as the command.
"""

import base64
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import quote

import httpx

from heliograph.domain.errors import CallerError, HeliographError, InvalidRequest, WorldError

JsonObject = dict[str, object]

CONNECT_S = 10.0
SILENCE_S_MAX = 60.0
"""The server sends a comment at least every ten seconds; a stream silent for so long is broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """One server-sent event: its name and its JSON."""

    name: str
    data: JsonObject


class Client:
    """Raises `CallerError` for 4xx answers and `WorldError` for everything else that goes wrong."""

    def __init__(self, *, base_url: str, api_key: str | None, socket: Path | None = None) -> None:
        if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
            raise InvalidRequest("The API key has characters that no key has; copy it again.", param="api_key")
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(SILENCE_S_MAX, connect=CONNECT_S),
            transport=httpx.AsyncHTTPTransport(uds=str(socket)) if socket is not None else None,
            trust_env=False,
        )

    async def submit(self, body: Mapping[str, object]) -> JsonObject:
        """Submit a job."""
        return await self._json("POST", "/v1/jobs", body)

    async def job(self, job_id: str) -> JsonObject:
        """One job."""
        return await self._json("GET", _job_path(job_id))

    async def jobs(self, *, limit: int) -> list[JsonObject]:
        """The newest jobs."""
        page = await self._json("GET", f"/v1/jobs?limit={limit}")
        return cast("list[JsonObject]", page["data"])

    async def cancel(self, job_id: str) -> JsonObject:
        """Cancel a job."""
        return await self._json("POST", f"{_job_path(job_id)}/cancel")

    async def reproduce(self, job_id: str) -> JsonObject:
        """A job that makes the pictures of another again."""
        return await self._json("POST", f"{_job_path(job_id)}/reproduce")

    async def reproduction(self, job_id: str) -> JsonObject:
        """What came of it."""
        return await self._json("GET", f"{_job_path(job_id)}/reproduction")

    async def verify(self, data: bytes) -> JsonObject:
        """Where a file comes from."""
        headers = {"Content-Type": "application/octet-stream"}
        try:
            answer = await self._http.post("/v1/provenance/verify", content=data, headers=headers)
        except httpx.HTTPError as error:
            raise WorldError(f"The server cannot be reached: {error or type(error).__name__}.") from error
        if answer.is_error:
            raise _error_of(answer)
        return cast(JsonObject, answer.json())

    async def upload(self, data: bytes, *, purpose: str) -> JsonObject:
        """A picture stored for jobs to start from."""
        files = {"file": ("picture", data)}
        try:
            answer = await self._http.post("/v1/inputs", files=files, data={"purpose": purpose})
        except httpx.HTTPError as error:
            raise WorldError(f"The server cannot be reached: {error or type(error).__name__}.") from error
        if answer.is_error:
            raise _error_of(answer)
        return cast(JsonObject, answer.json())

    async def models(self) -> list[JsonObject]:
        """The catalogue as the server sees it."""
        page = await self._json("GET", "/v1/models")
        return cast("list[JsonObject]", page["data"])

    async def delete_output(self, output_id: str) -> JsonObject:
        """The record of a picture's deletion."""
        return await self._json("DELETE", _output_path(output_id))

    async def star_output(self, output_id: str, *, is_on: bool) -> JsonObject:
        """How the picture is kept, with its star set or taken away."""
        return await self._json("PUT" if is_on else "DELETE", f"{_output_path(output_id)}/star")

    async def hold_output(self, output_id: str, *, is_on: bool) -> JsonObject:
        """The same with its hold; for the operator's key only."""
        return await self._json("PUT" if is_on else "DELETE", f"/v1/admin/outputs/{quote(output_id, safe='')}/hold")

    async def deletions(self, *, limit: int) -> list[JsonObject]:
        """The newest records of deletions."""
        page = await self._json("GET", f"/v1/deletions?limit={limit}")
        return cast("list[JsonObject]", page["data"])

    async def webhook_endpoints(self) -> list[JsonObject]:
        """The tenant's webhook endpoints."""
        page = await self._json("GET", "/v1/webhooks/endpoints")
        return cast("list[JsonObject]", page["data"])

    async def add_webhook_endpoint(self, body: Mapping[str, object]) -> JsonObject:
        """A new webhook endpoint with its secret."""
        return await self._json("POST", "/v1/webhooks/endpoints", body)

    async def change_webhook_endpoint(self, endpoint_id: str, body: Mapping[str, object]) -> JsonObject:
        """The endpoint with other values."""
        return await self._json("PATCH", _endpoint_path(endpoint_id), body)

    async def remove_webhook_endpoint(self, endpoint_id: str) -> JsonObject:
        """Forget the endpoint."""
        return await self._json("DELETE", _endpoint_path(endpoint_id))

    async def rotate_webhook_secret(self, endpoint_id: str) -> JsonObject:
        """The endpoint with a new secret."""
        return await self._json("POST", f"{_endpoint_path(endpoint_id)}/rotate")

    async def replay_webhook_endpoint(self, endpoint_id: str) -> JsonObject:
        """Send the endpoint everything that it was not delivered."""
        return await self._json("POST", f"{_endpoint_path(endpoint_id)}/replay", {})

    async def webhook_deliveries(self, *, limit: int) -> list[JsonObject]:
        """The newest webhook deliveries."""
        page = await self._json("GET", f"/v1/webhooks/deliveries?limit={limit}")
        return cast("list[JsonObject]", page["data"])

    async def webhook_delivery(self, delivery_id: str) -> JsonObject:
        """One webhook delivery with its tries."""
        return await self._json("GET", _delivery_path(delivery_id))

    async def replay_webhook_delivery(self, delivery_id: str) -> JsonObject:
        """Send the delivery again."""
        return await self._json("POST", f"{_delivery_path(delivery_id)}/replay")

    async def fleet(self) -> JsonObject:
        """The fleet, with the operator's key."""
        return await self._json("GET", "/v1/admin/fleet")

    async def look(self, path: str) -> JsonObject:
        """What `GET path` below `/v1/admin` tells, with the operator's key."""
        return await self._json("GET", path)

    async def moderation_labels(self) -> list[JsonObject]:
        """What reviewers decided about prompts, as labelled rows; with the operator's key."""
        rows: list[JsonObject] = []
        for state in ("upheld", "overturned"):
            path, after = f"/v1/admin/moderation/cases?limit=100&state={state}", ""
            while True:
                page = await self._json("GET", f"{path}{after}")
                cases = cast("list[JsonObject]", page["data"])
                rows += [cast("JsonObject", case["label"]) for case in cases if case["label"] is not None]
                if not page["has_more"]:
                    break
                after = f"&after={quote(str(cases[-1]['id']), safe='')}"
        return rows

    async def accounts(self) -> JsonObject:
        """Every tenant's account; for the operator."""
        return await self._json("GET", "/v1/admin/accounts")

    async def credit(self, tenant: str, body: Mapping[str, object]) -> JsonObject:
        """Give a tenant credit; for the operator."""
        return await self._json("POST", f"/v1/admin/accounts/{quote(tenant, safe='')}/credits", body)

    async def refund(self, job_id: str) -> JsonObject:
        """Give back what a job was charged; for the operator."""
        return await self._json("POST", f"/v1/admin/jobs/{quote(job_id, safe='')}/refund", {})

    async def order(self, verb: str, body: Mapping[str, object]) -> JsonObject:
        """`pause`, `drain` or `resume`; gives the fleet."""
        return await self._json("POST", f"/v1/admin/{verb}", body)

    async def prewarm(self, model: str, *, minutes: int) -> JsonObject:
        """Have the model loaded now; gives the fleet."""
        return await self._json("POST", f"{_model_path(model)}/prewarm", {"minutes": minutes})

    async def change_model(self, model: str, body: Mapping[str, object]) -> JsonObject:
        """Pin or cap the model; gives the fleet."""
        return await self._json("PATCH", _model_path(model), body)

    async def events(self, job_id: str) -> AsyncIterator[StreamEvent]:
        """The job's events until it has ended."""
        try:
            async with self._http.stream("GET", f"{_job_path(job_id)}/events") as answer:
                if answer.is_error:
                    await answer.aread()
                    raise _error_of(answer)
                name = ""
                async for line in answer.aiter_lines():
                    if line.startswith("event: "):
                        name = line.removeprefix("event: ")
                    elif line.startswith("data: "):
                        yield StreamEvent(name=name, data=json.loads(line.removeprefix("data: ")))
        except httpx.HTTPError as error:
            raise WorldError(f"The connection to the server broke: {error or type(error).__name__}.") from error

    async def download(self, url: str) -> bytes:
        """The bytes behind a relative URL of the API."""
        answer = await self._request("GET", url)
        return answer.content

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _json(self, method: str, path: str, body: Mapping[str, object] | None = None) -> JsonObject:
        answer = await self._request(method, path, body)
        try:
            return cast(JsonObject, answer.json())
        except ValueError as error:
            raise WorldError("The server's answer is not JSON; is it Heliograph that listens there?") from error

    async def _request(self, method: str, path: str, body: Mapping[str, object] | None = None) -> httpx.Response:
        try:
            answer = await self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise WorldError(f"The server cannot be reached: {error or type(error).__name__}.") from error
        if answer.is_error:
            raise _error_of(answer)
        return answer


def _model_path(model: str) -> str:
    return f"/v1/admin/models/{quote(model, safe='')}"


def _output_path(output_id: str) -> str:
    return f"/v1/outputs/{quote(output_id, safe='')}"


def _job_path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _endpoint_path(endpoint_id: str) -> str:
    return f"/v1/webhooks/endpoints/{quote(endpoint_id, safe='')}"


def _delivery_path(delivery_id: str) -> str:
    return f"/v1/webhooks/deliveries/{quote(delivery_id, safe='')}"


def preview_bytes(event: StreamEvent) -> bytes:
    """The picture in a `preview` event."""
    return base64.b64decode(str(event.data["b64"]))


def _error_of(answer: httpx.Response) -> HeliographError:
    try:
        error = cast("dict[str, str | None]", answer.json()["error"])
        message, code, param = error["message"] or "", error["code"], error["param"]
    except (ValueError, KeyError, TypeError):
        message, code, param = f"The server answered {answer.status_code}.", None, None
    kind = CallerError if answer.is_client_error else WorldError
    return kind(message, code=code, param=param)
