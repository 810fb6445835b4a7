"""How a reader is made: sets of questions → examples → what it learnt, as a file (`--reader FILE`).

Nothing of it is imported at run time. `python -m rag.training --help` has the steps.
"""
