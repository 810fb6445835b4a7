"""The recipe of the reader: sets of questions → examples → a reader's weights (`--reader FILE`).

It is run from a checkout (`python -m rag.training --help`, README.md); the wheel leaves it out.
"""
