"""Simulated study areas ("twins"): a landscape, its landslides and its image, from a site table and a
seed."""
