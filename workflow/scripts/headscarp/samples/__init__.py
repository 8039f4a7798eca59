"""Station `samples`."""
