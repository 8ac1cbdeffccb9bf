"""Real questions answered with real data, one folder each; also the examples to copy."""
