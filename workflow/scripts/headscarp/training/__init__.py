"""Station training: losses, recipes, schedules, searches, and the loop that trains one network."""
