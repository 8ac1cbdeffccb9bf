"""What makes the reference pages from the code: those of the two programs, and those of the Python names."""
