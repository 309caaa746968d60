"""Rooms in Redis: publishing to them, reading and following them."""
