"""What every test of this folder is held to."""

from tests.leaks import nothing_is_left as nothing_is_left  # autouse
