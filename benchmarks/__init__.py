"""What multitransport costs, as ratios against a bare ASGI handler on the same Hypercorn: ``python -m benchmarks``."""
