"""Databases that earlier releases wrote, and what was read from them then."""
