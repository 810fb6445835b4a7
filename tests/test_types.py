"""What the public types show of themselves: one short line, whatever they hold."""

from dataclasses import asdict

import pytest
from pydantic import TypeAdapter

from rag import types

NEWS = types.Passage("a.txt", 5, 9, "War.", 0.5, copies=("b.txt",))
SIGNALS = types.Signals(0.5, 1.0, 1.0, 0.25, True, 0.0)
ANSWER = types.Answer(
    question="q" * 61,
    text="“War.” [1]",
    short=None,
    citations=(types.Citation(1, "a.txt", 5, 9, "War."),),
    passages=(NEWS,) * 5,
    abstained=None,
    model="queued",
    timings={"retrieval": 0.1, "generation": 0.2},
    confidence=0.75,
)
LINES = "line\n" * 20
SHOWN = [
    (types.Block("item", 5, 9, 1, ((0, 4),)), "Block(kind='item', start=5, end=9, level=1, header=<1>)"),
    (
        types.Document("a.txt", LINES, "0f", pages=(0, 9), blocks=(types.Block("paragraph", 0, 4),)),
        f"Document(source='a.txt', text={LINES[:59]!r}…, sha256='0f', title=None, date=None, pages=<2>, "
        "blocks=<1>)",
    ),
    (
        types.Chunk(0, 4, "War.", ((0, 4),), "News"),
        "Chunk(start=0, end=4, text='War.', sentences=<1>, context='News')",
    ),
    (types.Match(None, 0.5), "Match(rank=None, score=0.5)"),
    (
        NEWS,
        "Passage(source='a.txt', start=5, end=9, text='War.', score=0.5, dense=None, keyword=None, "
        "title=None, date=None, page=None, copies=<1>)",
    ),
    (types.Scope(sources=("a.txt",) * 3), "Scope(since=None, until=None, sources=<3>)"),
    (
        SIGNALS,
        "Signals(cosine=0.5, covered=1.0, with_before=1.0, passage=0.25, of_the_kind=True, lacking=0.0, "
        "section=0.0, newest=False, led=False)",
    ),
    (types.Reading(1.5, 0, 4, 0.5), "Reading(odds=1.5, start=0, end=4, probability=0.5)"),
    (
        types.Sentence(0, 5, 9, "War.", 0.5, SIGNALS),
        f"Sentence(passage=0, start=5, end=9, text='War.', score=0.5, signals={SIGNALS}, lead_in='', "
        "before='', reading=None, page=None, copies=<0>, led_page=None, led_copies=<0>, context='', "
        "whole=None)",
    ),
    (
        types.Citation(1, "a.txt", 5, 9, "War."),
        "Citation(label=1, source='a.txt', start=5, end=9, quote='War.', page=None, copies=<0>, context='')",
    ),
    (
        types.Evidence(1, "a.txt", 5, 9, "War.", 0.5, None, False),
        "Evidence(label=1, source='a.txt', start=5, end=9, text='War.', score=0.5, odds=None, shown=False)",
    ),
    (
        ANSWER,
        f"Answer(question='{'q' * 59}'…, text='“War.” [1]', short=None, citations=<1>, passages=<5>, "
        "abstained=None, model='queued', timings=<2>, confidence=0.75, taken_as=None, left_out=0, dropped=0, "
        "evidence=<0>, prompt_tokens=0, guarantee='grammar')",
    ),
    (types.Waiting(1), "Waiting(ahead=1)"),
    (types.Failure("a.pdf", "is empty"), "Failure(source='a.pdf', reason='is empty')"),
    (
        types.BuildReport(tuple(f"{n}.txt" for n in range(1200)), (), (), (), (), 1.5, ((".csv", 2),)),
        "BuildReport(added=<1,200>, changed=<0>, removed=<0>, unchanged=<0>, failed=<0>, seconds=1.5, "
        "passed_over=<1>)",
    ),
    (
        types.EmbedderIdentity("words", "0" * 64, 5, True, "chunks", "fp32"),
        f"EmbedderIdentity(name='words', weights_sha256='{'0' * 59}'…, dimension=5, normalised=True, "
        "chunking='chunks', precision='fp32')",
    ),
]


@pytest.mark.parametrize(("value", "shown"), SHOWN, ids=[type(value).__name__ for value, _ in SHOWN])
def test_a_value_shows_itself_in_one_short_line(value, shown):
    assert repr(value) == shown


def test_every_type_is_shown():
    public = {
        name
        for name, one in vars(types).items()
        if isinstance(one, type) and one.__module__ == types.__name__
    }
    assert public - {"_Short"} == {type(value).__name__ for value, _ in SHOWN}


def test_a_text_of_sixty_characters_is_shown_whole():
    assert repr(types.Failure("a" * 60, "")) == f"Failure(source='{'a' * 60}', reason='')"


def test_what_is_written_of_an_answer_is_all_of_it():
    assert asdict(ANSWER)["question"] == "q" * 61
    assert TypeAdapter(types.Answer).dump_python(ANSWER)["passages"] == (asdict(NEWS),) * 5
