"""Training of `helio-base`, the built-in text-to-image model: render, caption, train, evaluate, export (see README.md)."""
