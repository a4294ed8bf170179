"""Models that run on other people's servers: where those are, and what can be relied on.

A server that speaks OpenAI's language says nothing of what it leaves undone: fields it does not know are dropped, sizes
are rounded, progress stands at nought until it is a hundred, a cancelled job runs on. `TRAITS` says what each family of
servers does, so that what it does not do is refused when the catalogue is read, or worked around by the engine.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

TIMEOUT_S = 600.0
"""How long a run may take on a server elsewhere, where the catalogue does not say."""


class ServerFamily(StrEnum):
    """Whose implementation of OpenAI's API a server is."""

    VLLM_OMNI = "vllm-omni"
    SGLANG = "sglang"
    OPENAI = "openai"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTraits:
    """What a family does. `parameters` are read beyond OpenAI's own: of `seed`, `steps`, `guidance`, `frames`,
    `strength` and `negative_prompt`. `takes_forms`: a video is ordered with a form rather than with JSON.
    """

    parameters: frozenset[str] = frozenset()
    takes_forms: bool = False


_DIFFUSION = frozenset({"seed", "steps", "guidance", "frames", "negative_prompt"})

TRAITS: Mapping[ServerFamily, ServerTraits] = {
    ServerFamily.VLLM_OMNI: ServerTraits(parameters=_DIFFUSION | {"strength"}, takes_forms=True),
    ServerFamily.SGLANG: ServerTraits(parameters=_DIFFUSION),
    ServerFamily.OPENAI: ServerTraits(takes_forms=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteOptions:
    """One model on servers with OpenAI's API. `urls` are replicas of it; `model` is its name there.

    `networks` are where the servers may be, besides the addresses in `urls` themselves. `key_env` names the environment
    variable that holds the key. A run may take `timeout_s` seconds. `has_progress`: a video's percentage is measured,
    not made up. `stops_when_told`: a cancelled run leaves the GPU; where not, the next run waits until it has.
    """

    server: ServerFamily
    urls: tuple[str, ...]
    model: str
    networks: tuple[str, ...] = ()
    key_env: str | None = None
    timeout_s: float = TIMEOUT_S
    has_progress: bool = False
    stops_when_told: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ComfyOptions:
    """One model behind ComfyUI. `workflow` is a file in ComfyUI's API format, `output` the node that saves the picture.

    `places` says by parameter which inputs of which nodes take it, each as (node, input). `sampler` is the node whose
    progress counts, None: the one that takes the steps. The rest is as in `RemoteOptions`.
    """

    urls: tuple[str, ...]
    workflow: str
    output: str
    places: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict[str, tuple[tuple[str, str], ...]])
    sampler: str | None = None
    networks: tuple[str, ...] = ()
    key_env: str | None = None
    timeout_s: float = TIMEOUT_S


COMFY_PARAMETERS = (
    "prompt",
    "negative_prompt",
    "seed",
    "steps",
    "guidance",
    "width",
    "height",
    "frames",
    "image",
    "mask",
    "strength",
)
"""What an order may say to a workflow."""


def remote_from(fields: Mapping[str, Any]) -> RemoteOptions:
    """The options that `dataclasses.asdict` took apart, through JSON for example."""
    given: dict[str, Any] = {
        "server": ServerFamily(fields["server"]),
        "urls": tuple(fields["urls"]),
        "networks": tuple(fields["networks"]),
    }
    return RemoteOptions(**{**fields, **given})


def comfy_from(fields: Mapping[str, Any]) -> ComfyOptions:
    """The options that `dataclasses.asdict` took apart, through JSON for example."""
    places: dict[str, list[list[str]]] = fields["places"]
    given: dict[str, Any] = {
        "urls": tuple(fields["urls"]),
        "networks": tuple(fields["networks"]),
        "places": {name: tuple((node, into) for node, into in each) for name, each in places.items()},
    }
    return ComfyOptions(**{**fields, **given})
