"""Station `scoring`."""
