"""Station `sources`."""
