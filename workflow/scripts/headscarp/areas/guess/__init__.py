"""What a user's files probably are: their roles, bands, times and scales, from names first and from values
where names say nothing."""
