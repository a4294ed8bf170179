"""Facts that ship with the package.

As TOML: the catalogue, the testing models, the style presets, and ready scenarios for the simulator. As CSV, for the
simulator: `gpu_prices.csv` (each row with its date, source and trust), and two aggregates of alibaba/clusterdata's
cluster-trace-v2026-GenAI, `gentd26_popularity.csv` (requests by model) and `gentd26_joint_mix.csv` (requests by kind,
steps and number of pictures); no row of the trace itself.
"""
