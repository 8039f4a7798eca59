"""The vocabulary of figures: pages, grounds, scenes, legends and colours, which figures put together."""
