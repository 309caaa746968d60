"""Sessions in Redis: records, and the leases of the nodes that speak for them."""
