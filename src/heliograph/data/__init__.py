"""Facts that ship with the package: the catalogue, the testing models and the style presets, as TOML."""
