"""Strict reading of the documents users write: YAML 1.2 and CSV, every value with its line and column."""
