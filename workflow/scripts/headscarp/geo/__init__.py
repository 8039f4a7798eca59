"""Rasters and vectors with their grid, CRS, units and no data: what all stations read and write."""
