"""Builds the compiled form of the product's modules (topics/compiled.py finds it)."""
