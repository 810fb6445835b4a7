"""Other systems doing the same work, each a program for an environment that has it."""
