"""Figures: a function of the name of each kind gives a figure and the tidy numbers behind it."""
