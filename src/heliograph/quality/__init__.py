"""Gates between inference and delivery: facts about a picture or clip, and the verdict on it."""

from heliograph.quality.facts import ImageFacts, image_facts, worst_of
from heliograph.quality.gates import GatePolicy, judge

__all__ = ["GatePolicy", "ImageFacts", "image_facts", "judge", "worst_of"]
