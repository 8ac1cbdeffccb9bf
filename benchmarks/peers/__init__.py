"""The peers, each run in a process of its own by ``benchmarks.measure``."""
