"""What the rest of a queue costs when the engine takes no time: Heliograph beside what a user would build instead."""
