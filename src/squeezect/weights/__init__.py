"""Shipped weights: one folder each, with ``model.safetensors`` (float16) and ``card.json``."""
