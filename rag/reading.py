"""A question and sentences → the sentences in the order of what the reader makes of them."""

import re
from collections.abc import Sequence
from dataclasses import replace

from rag.encoders import Reader
from rag.types import Sentence

READ = 16
"""How many sentences are read, those that retrieval likes best."""

READER_WEIGHT = 0.1
"""What a point of the reader's log-odds counts in a sentence's score.

Of 329 SQuAD 2 questions on articles that a first reader hadn't learnt from, three quotes held the answer in
0.763 with this weight, in 0.733 with none and in 0.708 with 0.5.
"""

SURE = 0.2
"""From which probability the words that the reader marks are shown as the short answer."""

MAX_BEFORE_CHARS = 200


def read_as(sentence: str, before: str) -> str:
    """The sentence, at the same offsets, then the end of what stands right before it."""
    text = re.sub(r"\s", " ", sentence)
    context = " ".join(before[-MAX_BEFORE_CHARS:].split())
    return f"{text} « {context}" if context else text


def marked(reader: Reader, question: str, sentence: Sentence) -> str | None:
    """The words of the sentence that are the short answer; None where none stand out."""
    text = read_as(sentence.text, sentence.before)
    (start, end), probability = reader.answer(question, text, end=len(sentence.text))
    return sentence.text[start:end] if probability >= SURE else None


def read(reader: Reader, question: str, sentences: Sequence[Sentence]) -> tuple[Sentence, ...]:
    """The best `READ` of the sentences, which stand best first, with what the reader makes of them."""
    few = sentences[:READ]
    found = reader.scores(question, [read_as(sentence.text, sentence.before) for sentence in few])
    scored = [
        replace(sentence, score=sentence.score + READER_WEIGHT * odds)
        for sentence, odds in zip(few, found, strict=True)
    ]
    return tuple(sorted(scored, key=lambda sentence: -sentence.score))
