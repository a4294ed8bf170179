"""Watching: what lifecycle events add up to, and what is wrong when something is. Decides only, and does no I/O."""
