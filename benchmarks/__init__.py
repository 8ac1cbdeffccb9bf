"""Benchmarks: us and our peers in the same run. ``python -m benchmarks.NAME [--quick]``; see README.md."""
