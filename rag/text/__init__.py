"""Text → words, sentences and chunks, and the rules of a language."""
