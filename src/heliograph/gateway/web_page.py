"""The page at `/`: built files, sent with headers that let them do what the page needs and nothing else."""

import html
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope
from typing_extensions import override

_YEAR_S = 31_536_000

PAGE_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-cache",
    # Pictures come from this server, previews and downloads from memory (blob:, data:). No script or style inside HTML.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self'; "
        "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}

_NOT_BUILT = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Heliograph</title>
<h1>Heliograph</h1>
<p>The API works. The page that belongs here has not been built: run <code>make web</code> (it needs Node.js)
and start the server again.</p>
<p>Meanwhile there is <a href="/docs">the API to try</a>, <a href="/v1/models">the models</a>, and:</p>
<pre>curl -H 'Content-Type: application/json' -d '{"prompt": "a red boat"}' ORIGIN/v1/jobs</pre>
</html>
"""

_Endpoint = Callable[[Request], Awaitable[Response]]


def add_page(app: FastAPI, page_dir: Path | None, *, pictures_at: str | None = None) -> None:
    """Serve `/`, other pages by their names (`/operations`), what lies beside them, and `/assets`; without a built page
    `/` says how to get one.

    `pictures_at` is where pictures come from when it is not this server.
    """
    headers = PAGE_HEADERS if pictures_at is None else _with_pictures_at(pictures_at)
    if page_dir is None or not (page_dir / "index.html").is_file():
        app.add_route("/", _say_how_to_build, include_in_schema=False)
        return
    app.add_route("/", _sender(page_dir / "index.html", headers), include_in_schema=False)
    for file in sorted(page_dir.iterdir()):
        if file.suffix == ".html":
            if file.name != "index.html":
                app.add_route(f"/{file.stem}", _sender(file, PAGE_HEADERS), include_in_schema=False)
        elif file.is_file():
            headers = {"Cache-Control": "no-cache"}
            app.add_route(f"/{file.name}", _sender(file, headers), include_in_schema=False)
    if (page_dir / "assets").is_dir():
        app.mount("/assets", _HashedFiles(directory=page_dir / "assets"))


def _with_pictures_at(origin: str) -> Mapping[str, str]:
    policy = PAGE_HEADERS["Content-Security-Policy"]
    for kind in ("img-src", "media-src"):
        policy = policy.replace(f"{kind} 'self'", f"{kind} 'self' {origin}")
    return {**PAGE_HEADERS, "Content-Security-Policy": policy}


async def _say_how_to_build(request: Request) -> Response:
    origin = html.escape(str(request.base_url).rstrip("/"))
    return HTMLResponse(_NOT_BUILT.replace("ORIGIN", origin), headers=PAGE_HEADERS)


def _sender(file: Path, headers: Mapping[str, str]) -> _Endpoint:
    async def send_file(_request: Request) -> Response:
        return FileResponse(file, headers=headers)

    return send_file


class _HashedFiles(StaticFiles):
    """Files whose names change with their content, so that every copy stays good for ever."""

    @override
    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = f"public, max-age={_YEAR_S}, immutable"
        return response
