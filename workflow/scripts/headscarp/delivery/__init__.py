"""Station delivery: what a mapper takes home of a map: masks, polygons' styles, STAC items, pages, and a
record of how all came about."""
