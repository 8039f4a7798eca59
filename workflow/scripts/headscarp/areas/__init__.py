"""Study areas of a user: writing their card (`init`) and checking their files before any training
(`check`)."""
