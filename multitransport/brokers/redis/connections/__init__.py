"""Connections to Redis that are kept, to one of them or to a cluster."""
