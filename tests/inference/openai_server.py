"""A server that speaks OpenAI's language as vLLM-Omni and SGLang-Diffusion do, traps included.

What it does as they do: fields it does not know are dropped, a size is rounded to what its model likes, a wrong model
is refused, pictures come as base64 in one call that hanging up does not stop, videos as jobs known to this process
alone whose progress stands at nought until it is a hundred, and whose DELETE drops the record while the GPU goes on.
"""

import asyncio
import base64
import hashlib
import io
import secrets
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

MODEL = "acme/painter"


def painted(prompt: str, seed: int, *, width_px: int, height_px: int, frames: int = 1) -> NDArray[np.uint8]:
    """(frames, height, width, 3) uint8: a slope of one colour, which prompt and seed decide; a clip grows darker."""
    colour = np.frombuffer(hashlib.sha256(f"{seed}:{prompt}".encode()).digest()[:3], np.uint8) // 2 + 96
    slope = np.linspace(0.3, 1.0, width_px)[None, None, :, None]
    shades = np.linspace(1.0, 0.8, frames)[:, None, None, None]
    return np.broadcast_to(colour * slope * shades, (frames, height_px, width_px, 3)).astype(np.uint8)


@dataclass
class PaintServer:
    """`rounds_to`: sides are rounded down to multiples of it. `stops`: cancelling leaves the GPU. `takes_forms`: videos
    are ordered with forms. `failure`: status and text of every answer. `busy`: so many calls are answered with 503.
    """

    step_s: float = 0.0
    rounds_to: int = 1
    stops: bool = False
    takes_forms: bool = True
    measures_progress: bool = False
    failure: tuple[int, str] | None = None
    busy: int = 0
    key: str | None = None
    model: str = MODEL
    orders: list[dict[str, Any]] = field(default_factory=list)
    videos: dict[str, dict[str, Any]] = field(default_factory=dict)
    at_once: int = 0
    at_once_max: int = 0
    tasks: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/models", self.list_models),
                Route("/v1/images/generations", self.generate, methods=["POST"]),
                Route("/v1/images/edits", self.edit, methods=["POST"]),
                Route("/v1/videos", self.create, methods=["POST"]),
                Route("/v1/videos/{name}", self.video),
                Route("/v1/videos/{name}", self.delete, methods=["DELETE"]),
                Route("/v1/videos/{name}/content", self.content),
            ]
        )

    async def list_models(self, request: Request) -> Response:
        return self.refused(request) or JSONResponse({"object": "list", "data": [{"id": self.model}]})

    async def generate(self, request: Request) -> Response:
        return self.refused(request) or await self.painted(await request.json())

    async def edit(self, request: Request) -> Response:
        return self.refused(request) or await self.painted(await read_form(request))

    def refused(self, request: Request) -> Response | None:
        if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
            return JSONResponse({"error": {"message": "Unauthorized"}}, 401)
        if self.busy:
            self.busy -= 1
            return JSONResponse({"error": {"message": "overloaded"}}, 503, {"retry-after": "0.1"})
        if self.failure is not None and request.method == "POST":
            return JSONResponse({"detail": self.failure[1]}, self.failure[0])
        return None

    async def painted(self, order: dict[str, Any]) -> Response:
        self.orders.append(order)
        if order.get("model") not in (None, self.model):
            return JSONResponse({"detail": f"Model mismatch: server is running '{self.model}'."}, 400)
        if order.get("response_format") != "b64_json":
            return JSONResponse({"detail": "Only response_format 'b64_json' is supported now."}, 400)
        # Shielded: nobody here notices that a client hung up.
        await asyncio.shield(asyncio.ensure_future(self.work(order)))
        width_px, height_px = self.size(order)
        pixels = painted(order["prompt"], int(order.get("seed", 1024)), width_px=width_px, height_px=height_px)
        buffer = io.BytesIO()
        Image.fromarray(pixels[0]).save(buffer, "PNG")
        data = [{"b64_json": base64.b64encode(buffer.getvalue()).decode(), "url": None}]
        return JSONResponse({"created": 1, "data": data, "size": order["size"]})

    async def work(self, order: dict[str, Any]) -> None:
        """What the GPU does."""
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        try:
            for _ in range(int(order.get("num_inference_steps", 4))):
                await asyncio.sleep(self.step_s)
        finally:
            self.at_once -= 1

    def size(self, order: dict[str, Any]) -> tuple[int, int]:
        width_px, height_px = map(int, order["size"].split("x"))
        return width_px // self.rounds_to * self.rounds_to, height_px // self.rounds_to * self.rounds_to

    async def create(self, request: Request) -> Response:
        refused = self.refused(request)
        if refused is not None:
            return refused
        is_form = request.headers["content-type"].startswith("multipart/form-data")
        order: dict[str, Any] = await read_form(request) if is_form else await request.json()
        if is_form is not self.takes_forms and "input_reference" not in order:
            return JSONResponse({"detail": "input_reference file is required" if is_form else "form expected"}, 422)
        self.orders.append(order)
        name = f"video_gen_{secrets.token_hex(8)}"
        self.videos[name] = {"id": name, "object": "video", "status": "queued", "progress": 0, "error": None}
        self.tasks[name] = asyncio.ensure_future(self.film(name, order))
        return JSONResponse(self.videos[name])

    async def film(self, name: str, order: dict[str, Any]) -> None:
        video, steps = self.videos[name], int(order.get("num_inference_steps", 4))
        video["status"] = "in_progress"
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        try:
            for step in range(steps):
                await asyncio.sleep(self.step_s)
                if self.measures_progress:
                    video["progress"] = 100 * (step + 1) // steps
        finally:
            self.at_once -= 1
        width_px, height_px = self.size(order)
        frames = int(order["num_frames"])
        pixels = painted(
            order["prompt"], int(order.get("seed", 1024)), width_px=width_px, height_px=height_px, frames=frames
        )
        video["content"] = as_mp4(pixels, fps=int(order["fps"]))
        video |= {"status": "completed", "progress": 100}

    async def video(self, request: Request) -> Response:
        video = self.videos.get(request.path_params["name"])
        if video is None:
            return JSONResponse({"detail": "Video not found"}, 404)
        return JSONResponse({key: value for key, value in video.items() if key != "content"})

    async def delete(self, request: Request) -> Response:
        name = request.path_params["name"]
        if self.videos.pop(name, None) is None:
            return JSONResponse({"detail": "Video not found"}, 404)
        self.deleted.append(name)
        if self.stops:
            self.tasks[name].cancel()
        return JSONResponse({"id": name, "deleted": True, "object": "video.deleted"})

    async def content(self, request: Request) -> Response:
        video = self.videos.get(request.path_params["name"], {})
        if "content" not in video:
            return JSONResponse({"detail": "Generation is still in-progress"}, 404)
        return Response(video["content"], media_type="video/mp4")


async def read_form(request: Request) -> dict[str, Any]:
    async with request.form() as form:
        return {key: value if isinstance(value, str) else await value.read() for key, value in form.items()}


def as_mp4(pixels: NDArray[np.uint8], *, fps: int) -> bytes:
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = pixels.shape[2], pixels.shape[1], "yuv420p"
        for frame in pixels:
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return buffer.getvalue()
