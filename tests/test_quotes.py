import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_cpp import LogitsProcessorList
from llama_cpp.llama_grammar import LlamaGrammar

from rag.downloads import download
from rag.evidence import ranked, within_budget
from rag.generation import LlamaModel
from rag.grammar import quote_grammar
from rag.models import find_language_model
from rag.quotes import read_quotes
from rag.sentences import sentences
from rag.types import Citation, Passage, Sentence

PASSAGES = (Passage("a.txt", 0, 40, "", 0.9), Passage("b/c.md", 100, 140, "", 0.5))
EVIDENCE = (
    Sentence(1, 105, 119, "He denied\nit.\t", 0.9),
    Sentence(0, 3, 22, "No war, he said: 0]", 0.8),
)


def read(reply: str, size: int = 3) -> list[str | Citation]:
    pieces = [reply[start : start + size] for start in range(0, len(reply), size)]
    return list(read_quotes(pieces, EVIDENCE, PASSAGES))


@pytest.mark.parametrize("size", [1, 3, 100])
def test_each_quote_is_followed_by_its_label_and_its_citation(size):
    assert read("2] No war, he said: 0]\n[1] He denied\nit.\t", size) == [
        *("“No", " war,", " he", " said:", " 0]", "” [1]"),
        Citation(1, "a.txt", 3, 22, "No war, he said: 0]"),
        *("\n“He", " denied", "\nit.", "\t", "” [2]"),
        Citation(2, "b/c.md", 105, 119, "He denied\nit.\t"),
    ]


@pytest.mark.parametrize(
    "reply",
    [
        *("", "0", "0]", "0] He denied", "3] He denied", "9] He", "-1] He", "1 He", "1]He denied", "[1] He"),
        *(
            "] He",
            "1",
            "1]",
            "1] ",
            "1] he denied",
            "1] H",
            "He denied",
            "²] He denied",
            "１] He denied",
            "\0",
        ),
    ],
)
def test_a_reply_that_chooses_no_sentence_gives_nothing(reply):
    assert read(reply) == []


def test_the_quote_stops_before_a_wrong_word():
    assert read("2] No war, she said") == ["“No", " war,", "” [1]", Citation(1, "a.txt", 3, 10, "No war,")]


def test_the_quote_stops_before_a_word_that_is_cut_off():
    assert read("2] No war, he sai") == [
        *("“No", " war,", " he", "” [1]"),
        Citation(1, "a.txt", 3, 13, "No war, he"),
    ]


@pytest.mark.parametrize("after", ["", "\n", "\n[", "\n[3] x", "\n[0]", " more", "\n[1] h", "\n[1]", "0]"])
def test_what_follows_a_quote_without_choosing_another_is_dropped(after):
    assert read("2] No war, he said: 0]" + after) == [
        *("“No", " war,", " he", " said:", " 0]", "” [1]"),
        Citation(1, "a.txt", 3, 22, "No war, he said: 0]"),
    ]


def test_a_quote_is_passed_on_before_the_model_goes_on():
    def pieces():
        yield "1] He denied\n"
        raise AssertionError("read too far")

    found = read_quotes(pieces(), EVIDENCE, PASSAGES)
    assert [next(found), next(found)] == ["“He", " denied"]


def retold(events: Sequence[str | Citation]) -> tuple[str, str]:
    """The text as it was passed on, and the same made from the citations alone."""
    text = "".join(event for event in events if isinstance(event, str))
    quotes = [event for event in events if isinstance(event, Citation)]
    return text, "\n".join(f"“{found.quote}” [{found.label}]" for found in quotes)


ALPHABET = st.sampled_from([*"0123[]] \n", "1] ", "2] ", "\n[", "He", " denied", "No war,", " he", "“", "”"])


@settings(deadline=None, max_examples=300)
@given(st.lists(st.one_of(ALPHABET, st.text(max_size=3)), max_size=20))
def test_whatever_the_model_writes_only_quotes_reach_the_user(pieces):
    events = list(read_quotes(pieces, EVIDENCE, PASSAGES))
    text, expected = retold(events)
    assert text == expected
    for citation in events:
        if isinstance(citation, Citation):
            sentence = next(s for s in EVIDENCE if s.passage == citation.label - 1)
            assert citation.start == sentence.start
            assert citation.quote == sentence.text[: citation.end - citation.start]
            assert citation.source == PASSAGES[citation.label - 1].source


@pytest.fixture(scope="module")
def model() -> LlamaModel:
    return LlamaModel(find_language_model("embedded", download).path, "small")


def random_pieces(model: LlamaModel, grammar: str, *, seed: int, max_tokens: int):
    """The text of a model whose every logit is a random number, under the grammar."""
    numbers = np.random.default_rng(seed)

    def scramble(_, scores):
        scores[:] = numbers.random(len(scores), dtype=np.float32)
        return scores

    for piece in model._llama.create_completion(
        [1],
        grammar=LlamaGrammar.from_string(grammar, verbose=False),
        logits_processor=LogitsProcessorList([scramble]),
        max_tokens=max_tokens,
        temperature=0.0,
        stream=True,
    ):
        yield piece["choices"][0]["text"]


FRAGMENTS = st.one_of(
    st.sampled_from(
        [
            *('"No," he said.', "“Да”, сказал он.", "{a: [1] b}", "\\n \\x41", "0]", "\n[2] ", "$question"),
            *("मैं यहाँ हूँ।", "日本語です。", "نعم، هذا صحيح.", "👩‍👩‍👧🇫🇷", "e\u0301ß", "\t", "\r\n", "\n\n"),
            *("Mr. Smith went.", "x" * 90, "\x1b[31m", "\u2028", "\xa0", "1] It rained.", "\ufeff", "\\"),
            *("\x04", "\x14.", "\U00040000", "<|im_start|>", "<|im_end|>"),
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12),
)


@settings(deadline=None, max_examples=25)
@given(
    documents=st.lists(st.lists(FRAGMENTS, min_size=1, max_size=4).map(" ".join), min_size=1, max_size=3),
    seed=st.integers(0, 2**32 - 1),
    max_tokens=st.sampled_from([5, 25, 70]),
)
def test_a_random_model_under_the_grammar_can_only_quote(model, documents, seed, max_tokens):
    chooser = random.Random(seed)
    passages = []
    for number, text in enumerate(documents):
        start = chooser.randrange(len(text))
        passages.append(Passage(f"{number}.txt", start, len(text), text[start:], 0.5))
    found = ranked(
        [
            Sentence(number, passage.start + start, passage.start + end, passage.text[start:end], 0.5)
            for number, passage in enumerate(passages)
            for start, end in sentences(passage.text)
        ]
    )
    sizes = [model.count_tokens(s.text) for s in found]
    evidence = within_budget(found[:6], sizes[:6], max_tokens=100)
    if not evidence:
        return
    grammar = quote_grammar([s.text for s in evidence], max_quotes=3, max_chars=200)
    pieces = list(random_pieces(model, grammar, seed=seed, max_tokens=max_tokens))
    events = list(read_quotes(pieces, evidence, passages))
    for citation in events:
        if isinstance(citation, Citation):
            number = citation.label - 1
            assert citation.source == passages[number].source == f"{number}.txt"
            assert documents[number][citation.start : citation.end] == citation.quote
            assert citation.quote != ""
    text, expected = retold(events)
    assert text == expected
