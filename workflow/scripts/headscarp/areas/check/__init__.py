"""What is wrong with the files of a study area, told before any training: a report, a record and a page."""
