"""What a request is for, where it does not say so itself: the model it names tells."""

from heliograph.domain.model_card import ModelCard

STILL, CLIP = "t2i", "t2v"
OFFERED = (STILL, CLIP)
"""Tasks that a prompt alone can ask for; the first that a model does is what it is asked for."""


def task_for(card: ModelCard | None) -> str:
    """The task of a request that names the model of `card`; stills where it names none, or one that does neither."""
    if card is None:
        return STILL
    return next((task for task in OFFERED if task in card.tasks), STILL)
