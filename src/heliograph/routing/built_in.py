"""What the built-in models' own files say, laid beside the catalogue: who is there, and what was measured of them.

The catalogue says how a model is asked; its folder says what it turned out to be. Keeping the second out of the first
means that new weights bring their own facts. A folder that is not there only means that its model cannot be run.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from heliograph.domain.model_card import Catalogue, Measured, ModelCard


def with_measured(catalogue: Catalogue, facts: Mapping[str, Mapping[str, Any]]) -> Catalogue:
    """The catalogue with what the folders' descriptions say, by folder name; one without `facts` is not installed."""
    cards = {
        model_id: card if card.weights is None else _described(card, facts.get(card.weights))
        for model_id, card in catalogue.cards.items()
    }
    return replace(catalogue, cards=cards)


def _described(card: ModelCard, facts: Mapping[str, Any] | None) -> ModelCard:
    return replace(card, is_installed=False) if facts is None else replace(card, measured=_measured(facts))


def _measured(facts: Mapping[str, Any]) -> Measured:
    """What a model.json says. Figures it lacks are unknown; it was written by whoever made the weights."""
    training = cast("Mapping[str, Any]", facts.get("training") or {})
    adherence = cast("Mapping[str, Any]", training.get("adherence") or {})
    weaknesses = cast("list[object]", facts.get("weaknesses") or training.get("weaknesses") or [])
    return Measured(
        revision=str(facts.get("revision", "")),
        domain=str(facts.get("domain", "")),
        weaknesses=tuple(map(str, weaknesses)),
        adherence={name: float(share) for name, share in adherence.items() if isinstance(share, int | float)},
    )
