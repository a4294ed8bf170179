"""Policies compared: ours, those of the literature re-implemented, and what clairvoyance would do."""
