"""Gates between inference and delivery: facts about a picture, and the verdict on it."""

from heliograph.quality.facts import ImageFacts, image_facts
from heliograph.quality.gates import GatePolicy, judge

__all__ = ["GatePolicy", "ImageFacts", "image_facts", "judge"]
