"""The plan: config.yaml and the cards, checked once and resolved into frozen objects that the rules ask."""
