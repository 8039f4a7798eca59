"""Station `site`: every layer of a study area on one grid, and the cube that networks read."""
