"""The Quart extension: configuration, contexts, lifespan and what templates and tests need."""
