"""Tables: a function of the name of each kind gives a tidy frame."""
