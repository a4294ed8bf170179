"""What the README promises about speed and size, measured: `python -m benchmarks`, or one by one."""
