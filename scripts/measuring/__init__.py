"""Whole commands, measured side by side: what docs/benchmarks.md shows."""
