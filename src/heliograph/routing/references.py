"""Other services' ways to name a model."""

from heliograph.domain.model_card import Catalogue


def model_named(reference: str, catalogue: Catalogue) -> str:
    """The catalogue's name for `owner/name`, `owner/name:version`, or a plain id, which may not exist.

    A name of ours (or an alias the operator made, slashes and all) comes first; then the model that comes from a
    repository of that name; then what stands after the slash.
    """
    name = reference.partition(":")[0]
    if catalogue.resolve(name) is not None:
        return name
    from_there = [
        card.model_id
        for card in catalogue.cards.values()
        if card.repository is not None and card.repository.lower() == name.lower()
    ]
    return from_there[0] if len(from_there) == 1 else name.rpartition("/")[2]
