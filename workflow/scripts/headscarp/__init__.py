"""headscarp: landslide mapping papers re-run from raw rasters, on their protocol and on a leakage-free
one."""

__version__ = "0.1.0"
