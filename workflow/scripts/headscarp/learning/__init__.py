"""Station `learning`."""
