"""A server of files as a hub is one: ranges, redirects to another path, and every way of failing once or for good."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route


@dataclass
class WeightsServer:
    """`cuts`: answers that break off after so many bytes, the first ones first. `has_ranges`: it can begin anywhere."""

    files: Mapping[str, bytes]
    cuts: list[int] = field(default_factory=list)
    has_ranges: bool = True
    redirects: bool = False
    status: int = 200
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/hub/{path:path}", self.hub), Route("/cdn/{path:path}", self.send)])

    async def hub(self, request: Request) -> Response:
        if self.redirects:
            return RedirectResponse(f"/cdn/{request.path_params['path']}", 302)
        return await self.send(request)

    async def send(self, request: Request) -> Response:
        path = request.path_params["path"]
        ranged = request.headers.get("range")
        self.asked.append((path, ranged, request.headers.get("authorization")))
        if self.status != 200 or path not in self.files:
            return Response(status_code=404 if self.status == 200 else self.status)
        content, status = self.files[path], 200
        if ranged is not None and self.has_ranges:
            content, status = content[int(ranged.removeprefix("bytes=").removesuffix("-")) :], 206
        if self.cuts:
            return StreamingResponse(self.broken(content[: self.cuts.pop(0)]), status)
        return Response(content, status)

    async def broken(self, content: bytes) -> AsyncIterator[bytes]:
        yield content
        raise ConnectionResetError("the cable was pulled")
