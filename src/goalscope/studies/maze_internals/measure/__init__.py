"""What is run, a file for each part of the study: slow, stored, arrays out."""
