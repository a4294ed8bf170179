"""ComfyUI as far as somebody sees it who drives it over HTTP: a queue, a WebSocket per client, a history.

It runs what `workflow` gives, one prompt at a time, paints with `painted`, and does as ComfyUI does: a size is rounded
to 8 in silence, two nodes report progress from nought, previews are binary frames of either kind, the history knows
nothing before the end, and `/interrupt` of an older release (`is_old`) stops whoever runs.
"""

import asyncio
import io
import json
import secrets
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.inference.openai_server import painted

NODES = ("CLIPTextEncode", "EmptyLatentImage", "KSampler", "VAEDecodeTiled", "SaveImage", "LoadImage")
PLACES = {
    "prompt": (("6", "text"),),
    "negative_prompt": (("7", "text"),),
    "seed": (("3", "seed"),),
    "steps": (("3", "steps"),),
    "guidance": (("3", "cfg"),),
    "width": (("5", "width"),),
    "height": (("5", "height"),),
}


def workflow() -> dict[str, Any]:
    """As ComfyUI exports it for its API."""
    return {
        "3": {"class_type": "KSampler", "inputs": {"seed": 0, "steps": 20, "cfg": 7, "positive": ["6", 0]}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 512, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": ""}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": ""}},
        "8": {"class_type": "VAEDecodeTiled", "inputs": {"samples": ["3", 0]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0]}},
    }


@dataclass
class ComfyServer:
    """`failure`: what the sampler raises. `has_previews`: as told by its command line."""

    step_s: float = 0.0
    is_old: bool = False
    has_sockets: bool = True
    failure: tuple[str, str] | None = None
    nodes: tuple[str, ...] = NODES
    prompts: list[dict[str, Any]] = field(default_factory=list)
    history: dict[str, Any] = field(default_factory=dict)
    waiting: "asyncio.Queue[str]" = field(default_factory=asyncio.Queue)
    pending: dict[str, dict[str, Any]] = field(default_factory=dict)
    running: str | None = None
    interrupted: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    uploads: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    sockets: dict[str, tuple[WebSocket, dict[str, Any]]] = field(default_factory=dict)
    loop: "asyncio.Task[None] | None" = None

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/object_info/{kind}", self.object_info),
                Route("/prompt", self.take, methods=["POST"]),
                Route("/queue", self.show_queue),
                Route("/queue", self.change_queue, methods=["POST"]),
                Route("/history/{name}", self.show_history),
                Route("/history", self.change_history, methods=["POST"]),
                Route("/interrupt", self.interrupt, methods=["POST"]),
                Route("/view", self.view),
                Route("/upload/image", self.upload, methods=["POST"]),
                *([WebSocketRoute("/ws", self.listen)] if self.has_sockets else []),
            ]
        )

    async def object_info(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        return JSONResponse({kind: {"input": {}}} if kind in self.nodes else {})

    async def take(self, request: Request) -> Response:
        body = await request.json()
        steps = body["prompt"]["3"]["inputs"]["steps"]
        if steps > 10_000:
            error = {"type": "value_bigger_than_max", "extra_info": {"input_name": "steps", "received_value": steps}}
            problem = {"errors": [error], "class_type": "KSampler"}
            return JSONResponse({"error": {"type": "prompt_outputs_failed"}, "node_errors": {"3": problem}}, 400)
        name = secrets.token_hex(8)
        self.prompts.append(body["prompt"])
        self.pending[name] = body
        if self.loop is None:
            self.loop = asyncio.ensure_future(self.work())
        self.waiting.put_nowait(name)
        return JSONResponse({"prompt_id": name, "number": len(self.prompts), "node_errors": {}})

    async def work(self) -> None:
        while True:
            name = await self.waiting.get()
            body = self.pending.get(name)
            if body is None:
                continue
            self.running = name
            try:
                entry = await self.execute(name, body)
            finally:
                self.running = None
                del self.pending[name]
            self.history[name] = entry

    async def execute(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        prompt, client = body["prompt"], body["client_id"]
        sampler, latent = prompt["3"]["inputs"], prompt["5"]["inputs"]
        width_px, height_px = latent["width"] // 8 * 8, latent["height"] // 8 * 8
        pixels = painted(prompt["6"]["inputs"]["text"], sampler["seed"], width_px=width_px, height_px=height_px)[0]
        await self.say(client, "execution_start", {"prompt_id": name})
        for step in range(1, sampler["steps"] + 1):
            await asyncio.sleep(self.step_s)
            if name in self.interrupted:
                return self.ended(name, "execution_interrupted", {"prompt_id": name, "node_id": "3"})
            if self.failure is not None and step > 1:
                kind, text = self.failure
                await self.say(client, "execution_error", {"prompt_id": name})
                error = {"node_id": "3", "node_type": "KSampler", "exception_type": kind, "exception_message": text}
                return self.ended(name, "execution_error", error)
            progress = {"value": step, "max": sampler["steps"], "prompt_id": name, "node": "3"}
            await self.say(client, "progress", progress)
            await self.show(client, name, Image.fromarray(pixels).resize((16, 12)))
        for tile in range(1, 5):
            await self.say(client, "progress", {"value": tile, "max": 4, "prompt_id": name, "node": "8"})
        file_name = f"ComfyUI_{len(self.files):05}_.png"
        self.files[file_name] = as_png(pixels)
        await self.say(client, "executing", {"node": None, "prompt_id": name})
        images = [{"filename": file_name, "subfolder": "", "type": "output"}] * latent["batch_size"]
        return {"outputs": {"9": {"images": images}}, "status": {"status_str": "success", "completed": True}}

    def ended(self, name: str, kind: str, data: dict[str, Any]) -> dict[str, Any]:
        messages = [["execution_start", {"prompt_id": name}], [kind, data]]
        return {"outputs": {}, "status": {"status_str": "error", "completed": False, "messages": messages}}

    async def say(self, client: str, kind: str, data: dict[str, Any]) -> None:
        if client in self.sockets:
            await self.sockets[client][0].send_text(json.dumps({"type": kind, "data": data}))

    async def show(self, client: str, name: str, image: Image.Image) -> None:
        if client not in self.sockets:
            return
        socket, features = self.sockets[client]
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=95)
        if features.get("supports_preview_metadata") and not self.is_old:
            metadata = json.dumps({"node_id": "3", "prompt_id": name, "image_type": "image/jpeg"}).encode()
            await socket.send_bytes(struct.pack(">II", 4, len(metadata)) + metadata + buffer.getvalue())
        else:
            await socket.send_bytes(struct.pack(">II", 1, 1) + buffer.getvalue())

    async def listen(self, socket: WebSocket) -> None:
        client = socket.query_params["clientId"]
        await socket.accept()
        features: dict[str, Any] = {}
        self.sockets[client] = (socket, features)
        await self.say(client, "status", {"status": {"exec_info": {"queue_remaining": 0}}, "sid": client})
        with suppress(WebSocketDisconnect):
            while True:
                message = json.loads(await socket.receive_text())
                if message["type"] == "feature_flags":
                    features |= message["data"]
        del self.sockets[client]

    async def show_queue(self, request: Request) -> Response:
        def line(names: list[str]) -> list[list[Any]]:
            return [[0, name, {}, {}, []] for name in names]

        running = [] if self.running is None else [self.running]
        pending = [name for name in self.pending if name != self.running]
        return JSONResponse({"queue_running": line(running), "queue_pending": line(pending)})

    async def change_queue(self, request: Request) -> Response:
        for name in (await request.json()).get("delete", ()):
            if name != self.running:
                self.pending.pop(name, None)
        return Response()

    async def show_history(self, request: Request) -> Response:
        name = request.path_params["name"]
        return JSONResponse({name: self.history[name]} if name in self.history else {})

    async def change_history(self, request: Request) -> Response:
        for name in (await request.json()).get("delete", ()):
            self.history.pop(name, None)
            self.forgotten.append(name)
        return Response()

    async def interrupt(self, request: Request) -> Response:
        named = (await request.json()).get("prompt_id")
        if self.running is not None and (self.is_old or named in (None, self.running)):
            self.interrupted.append(self.running)
        return Response()

    async def view(self, request: Request) -> Response:
        content = self.files.get(request.query_params["filename"])
        return Response(status_code=404) if content is None else Response(content, media_type="image/png")

    async def upload(self, request: Request) -> Response:
        async with request.form() as form:
            image = form["image"]
            assert not isinstance(image, str)
            self.uploads[str(image.filename)] = await image.read()
            return JSONResponse({"name": image.filename, "subfolder": "", "type": "input"})


def as_png(pixels: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
