"""Where trials run: one port, the worker's loop, and the executors (inline, Ray)."""
