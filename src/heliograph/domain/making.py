"""How an output was made: what has to be the same for its pixels to come out the same again."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What a worker runs its model with; empty text for what is not known or does not apply.

    `revision` is the model's own name for its weights, `weights_sha256` a digest (hex) of them. `libraries` are names
    and versions, in order of name. `device` is the processor's or card's name, `dtype` what is computed in, `scheduler`
    how the steps are taken.
    """

    engine: str
    revision: str = ""
    weights_sha256: str = ""
    libraries: tuple[tuple[str, str], ...] = ()
    device: str = ""
    dtype: str = ""
    scheduler: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """The facts of the worker that made an output, the `software` around it, the class of its GPU, and how many
    pictures were made in the same run.
    """

    facts: EngineFacts
    software: str
    gpu_class: str
    batch: int

    def components(self) -> dict[str, str]:
        """Every fact by its name, as text."""
        facts = self.facts
        named = {
            "engine": facts.engine,
            "model revision": facts.revision,
            "weights": facts.weights_sha256,
            "device": facts.device,
            "dtype": facts.dtype,
            "scheduler": facts.scheduler,
            "software": self.software,
            "gpu class": self.gpu_class,
            "batch": str(self.batch),
        }
        return named | {f"library {name}": version for name, version in facts.libraries}
