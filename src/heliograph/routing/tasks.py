"""What a request is for, where it does not say so itself: the model it names tells."""

from heliograph.domain.model_card import ModelCard

STILL, CLIP = "t2i", "t2v"
FROM_WORDS = (STILL, CLIP)
"""Tasks that a prompt alone can ask for; the first that a model does is what it is asked for."""

FROM_PICTURES = ("i2i", "edit", "i2v")
"""The same for a request with pictures to start from, without a mask."""

WITH_MASK = ("inpaint",)
OFFERED = (*FROM_WORDS, *FROM_PICTURES, *WITH_MASK)


def task_for(card: ModelCard | None, *, has_pictures: bool = False, has_mask: bool = False) -> str:
    """The task of a request that names the model of `card`.

    The first that suits where it names none, or a model that does none of them.
    """
    suitable = suitable_tasks(has_pictures=has_pictures, has_mask=has_mask)
    if card is None:
        return suitable[0]
    return next((task for task in suitable if task in card.tasks), suitable[0])


def suitable_tasks(*, has_pictures: bool, has_mask: bool) -> tuple[str, ...]:
    """What can be asked for with pictures to start from and a mask, or without."""
    if has_mask:
        return WITH_MASK
    return FROM_PICTURES if has_pictures else FROM_WORDS
