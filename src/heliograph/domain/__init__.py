"""Shared nouns of every stage: valid by construction, and importing nothing from the other packages."""
