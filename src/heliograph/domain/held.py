"""Pictures that are not handed out: a person looks at them first, or decided against them."""

from collections.abc import Sequence

from heliograph.domain.errors import PermissionDenied
from heliograph.domain.pictures import Availability, Output


def delivered(outputs: Sequence[Output]) -> list[Output]:
    """Those that their tenant may have."""
    return [output for output in outputs if output.availability is Availability.DELIVERED]


def why_none_is_delivered(outputs: Sequence[Output]) -> PermissionDenied | None:
    """What to say where there are pictures and none may be had; None where there is nothing to say."""
    if not outputs or delivered(outputs):
        return None
    if any(output.availability is Availability.HELD for output in outputs):
        return PermissionDenied(
            "A person looks at this picture before it is delivered; ask for it again later.", code="picture_held"
        )
    return PermissionDenied(
        "A person decided that this picture is against the content policy; POST /v1/jobs/{id}/appeal objects to it.",
        code="picture_withheld",
    )


def refuse_held(output: Output) -> None:
    """Raises `PermissionDenied` for a picture that its tenant may not have (yet)."""
    why = why_none_is_delivered([output])
    if why is not None:
        raise why
