"""The card of a study area, written from an outline and any number of files; every guess is a comment beside
its entry."""
