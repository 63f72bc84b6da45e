"""Tests of the journal with real databases."""
