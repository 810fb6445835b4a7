"""A question and sentences → the sentences in the order of what the reader makes of them."""

import re
from collections.abc import Sequence
from dataclasses import replace

from rag.reader import Reader
from rag.types import Reading, Sentence

READ = 16
"""How many sentences are read, those that retrieval likes best."""

READER_WEIGHT = 0.1
"""What a point of the reader's log-odds counts in a sentence's score.

Of 329 SQuAD 2 questions on articles that a first reader hadn't learnt from, three quotes held the answer in
0.763 with this weight, in 0.733 with none and in 0.708 with 0.5.
"""

SURE = 0.2
"""From which probability the words that the reader marks are shown as the short answer."""

MAX_QUESTION_CHARS = 240
"""The end of a longer question is read: with more there is no room for the sentence."""

MAX_BEFORE_CHARS = 200


def read_as(sentence: str, before: str) -> str:
    """The sentence, at the same offsets, then the end of what stands right before it."""
    text = re.sub(r"\s", " ", sentence)
    context = " ".join(before[-MAX_BEFORE_CHARS:].split())
    return f"{text} « {context}" if context else text


def read(reader: Reader, question: str, sentences: Sequence[Sentence]) -> tuple[Sentence, ...]:
    """The best `READ` of the sentences, which stand best first, with what the reader makes of them."""
    few = sentences[:READ]
    texts = [read_as(sentence.text, sentence.before) for sentence in few]
    readings = reader.read(question[-MAX_QUESTION_CHARS:], texts, [len(sentence.text) for sentence in few])
    scored = [
        replace(sentence, score=sentence.score + READER_WEIGHT * reading.odds, reading=reading)
        for sentence, reading in zip(few, readings, strict=True)
    ]
    return tuple(sorted(scored, key=lambda sentence: -sentence.score))


def marked(sentence: Sentence, reading: Reading) -> str | None:
    """The words of the sentence that are the short answer; None where none stand out."""
    return sentence.text[reading.start : reading.end] if reading.probability >= SURE else None
