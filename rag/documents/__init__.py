"""The documents folder → the documents in it."""
