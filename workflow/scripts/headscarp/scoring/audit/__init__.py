"""What printed numbers say of each other: arithmetic on published tables, by the checks of `registry`."""
