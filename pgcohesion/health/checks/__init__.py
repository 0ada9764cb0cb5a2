"""A topic a file, a check a function."""
