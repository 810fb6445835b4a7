"""The documents folder and the index, kept in step."""
