"""Keeping house: what takes room, what may go, what is damaged, and copies to restore from."""
