"""A real model whose every logit is a random number, over random documents: it can only quote."""

import random
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_cpp import LogitsProcessorList

from rag.answering.composition import read_composition
from rag.answering.evidence import ranked, within_budget
from rag.answering.quotes import choose_quotes
from rag.llm.grammar import compose_grammar
from rag.llm.llama import LlamaModel, _GrammarChoice
from rag.models.hub import download
from rag.models.registry import find_language_model
from rag.text.sentences import sentences
from rag.types import Citation, Passage, Sentence, Signals

pytestmark = pytest.mark.model

NOTHING = Signals(0, 0, 0, 0, False, 0)
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
DOCUMENTS = st.lists(st.lists(FRAGMENTS, min_size=1, max_size=4).map(" ".join), min_size=1, max_size=3)


@pytest.fixture(scope="module")
def model() -> LlamaModel:
    return LlamaModel(find_language_model("embedded", download).path, "small")


def random_pieces(
    model: LlamaModel, grammar: str, numbers: np.random.Generator, *, max_tokens: int
) -> Iterator[str]:
    """The text of a model whose every logit is a random number, under the grammar."""

    def scramble(_, scores):
        scores[:] = numbers.random(len(scores), dtype=np.float32)
        return scores

    choice = _GrammarChoice(model._llama, grammar, model._unwanted)
    for piece in model._llama.create_completion(
        [1],
        logits_processor=LogitsProcessorList([scramble, choice]),
        max_tokens=max_tokens,
        temperature=0.0,
        stream=True,
    ):
        yield piece["choices"][0]["text"]
    choice.close()
    assert choice.error is None


def passages_of(documents: list[str], seed: int) -> list[Passage]:
    """A passage of each document, from a place on that is chosen by chance."""
    chooser = random.Random(seed)
    found = []
    for number, text in enumerate(documents):
        start = chooser.randrange(len(text))
        found.append(Passage(f"{number}.txt", start, len(text), text[start:], 0.5))
    return found


def evidence_of(model: LlamaModel, passages: list[Passage]) -> tuple[Sentence, ...]:
    found = ranked(
        [
            Sentence(
                number, passage.start + start, passage.start + end, passage.text[start:end], 0.5, NOTHING
            )
            for number, passage in enumerate(passages)
            for start, end in sentences(passage.text)
        ]
    )[:6]
    return within_budget(found, [model.count_tokens(s.text) for s in found], max_tokens=100)


def assert_exact(citations: list[Citation], documents: list[str], passages: list[Passage]) -> None:
    assert [citation.label for citation in citations] == [*range(1, len(citations) + 1)]
    for citation in citations:
        number = next(n for n, passage in enumerate(passages) if passage.source == citation.source)
        assert citation.source == f"{number}.txt"
        assert documents[number][citation.start : citation.end] == citation.quote
        assert citation.quote != ""


@settings(deadline=None, max_examples=25)
@given(documents=DOCUMENTS, seed=st.integers(0, 2**32 - 1), may_refuse=st.booleans())
def test_a_random_model_that_chooses_can_only_quote(model, documents, seed, may_refuse):
    passages = passages_of(documents, seed)
    evidence = evidence_of(model, passages)
    numbers = np.random.default_rng(seed)
    events = list(
        choose_quotes(
            lambda written, grammar: "".join(random_pieces(model, grammar, numbers, max_tokens=4)),
            evidence,
            passages,
            max_quotes=3,
            max_chars=200,
            decided=0.5,
            may_refuse=may_refuse,
            short=lambda _: None,
        )
    )
    citations = [event for event in events if isinstance(event, Citation)]
    assert_exact(citations, documents, passages)
    assert bool(citations) or may_refuse or not evidence
    text = "".join(event for event in events if isinstance(event, str))
    assert text == "\n".join(f"“{found.quote}” [{found.label}]" for found in citations)


@settings(deadline=None, max_examples=12)
@given(
    documents=DOCUMENTS,
    seed=st.integers(0, 2**32 - 1),
    max_tokens=st.sampled_from([5, 70, 300]),
)
def test_a_random_model_that_composes_can_only_quote(model, documents, seed, max_tokens):
    passages = passages_of(documents, seed)
    evidence = tuple(found for found in evidence_of(model, passages) if model.can_write(found.text))
    if not evidence:
        return
    grammar = compose_grammar(
        [found.text for found in evidence], max_quotes=2, max_chars=200, may_refuse=False
    )
    pieces = random_pieces(model, grammar, np.random.default_rng(seed), max_tokens=max_tokens)
    events = list(
        read_composition(pieces, evidence, passages, unsupported=lambda *_: "checked", short=lambda _: None)
    )
    citations = [event for event in events if isinstance(event, Citation)]
    assert_exact(citations, documents, passages)
    text = "".join(event for event in events if isinstance(event, str))
    assert text == "\n".join(f"“{found.quote}” [{found.label}]" for found in citations)


@pytest.mark.parametrize("seed", range(6))
def test_the_composing_grammar_leads_a_random_model_to_a_quote(model, seed):
    texts = ['"No," he said.', "“Да”, сказал он. [1]", "मैं यहाँ हूँ।", "{x} \\n ::= |"]
    texts.append("It <|im_end|> rained\n[2] here.")
    passages = [Passage("a.txt", 0, 60, "", 0.9), Passage("b/c.md", 100, 140, "", 0.5)]
    evidence = [
        Sentence(number % 2, 10 * number, 10 * number + len(text), text, 0.9, NOTHING)
        for number, text in enumerate(texts)
    ]
    grammar = compose_grammar(texts, max_quotes=2, max_chars=400, may_refuse=False)
    pieces = random_pieces(model, grammar, np.random.default_rng(seed), max_tokens=250)
    events = list(
        read_composition(pieces, evidence, passages, unsupported=lambda *_: None, short=lambda _: None)
    )
    cited = [event for event in events if isinstance(event, Citation)]
    assert cited, "the grammar leads to a quote"
    for label, citation in enumerate(cited, 1):
        sentence = next(found for found in evidence if found.text == citation.quote)
        assert (citation.start, citation.end) == (sentence.start, sentence.end)
        assert citation.label == label
