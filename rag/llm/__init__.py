"""Message and grammar → the text of a language model."""
