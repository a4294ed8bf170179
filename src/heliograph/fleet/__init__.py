"""GPU orchestration: what to load where; local.py carries it out with child processes."""
