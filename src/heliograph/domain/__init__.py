"""Shared nouns of every stage. No behaviour beyond keeping themselves valid; imports nothing from the other packages."""
