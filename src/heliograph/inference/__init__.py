"""Engines and the worker process that runs one of them."""
