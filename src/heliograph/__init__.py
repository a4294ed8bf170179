"""Heliograph: the production system around image and video models, from a prompt to a delivered picture."""

__version__ = "0.1.0"
