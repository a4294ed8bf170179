"""Gates after inference: facts about pixels become a verdict."""
