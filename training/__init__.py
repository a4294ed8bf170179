"""How `helio-base`, the built-in text-to-image model, is made: render, caption, train, evaluate, export."""
