"""Errors that a user can act on."""


class HeadscarpError(Exception):
    """Bad input, configuration or environment: the message names the file or key and the remedy."""


class NoCrsError(HeadscarpError):
    """A file does not say its CRS."""
