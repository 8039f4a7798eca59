"""Station `mapping`."""
