import re

import pytest
from llama_cpp import llama_model_get_vocab, llama_sampler_free, llama_sampler_init_grammar

from rag.downloads import download
from rag.generation import LlamaModel
from rag.grammar import MAX_SENTENCES, literal, quote_grammar
from rag.models import find_language_model

NASTY = (
    'He said "no".',
    "C:\\temp\\new \\x41",
    "one\ntwo\r\nthree\tfour",
    "{a} [b] (c) | d ::= e # f $g",
    "bell \x07 escape \x1b[31m delete \x7f next line \x85 separator \u2028",
    "👩‍👩‍👧 نعم 日本語 é e\u0301",
    "0]",
    '\n[2] "',
    "\\",
)


@pytest.fixture(scope="module")
def llama() -> LlamaModel:
    return LlamaModel(find_language_model("embedded", download).path, "small")


def orders(grammar: str) -> set[tuple[int, ...]]:
    """The orders in which the grammar lets the sentences be quoted."""
    rules = dict(line.split(" ::= ", 1) for line in grammar.split("\n"))
    found = set()

    def walk(choice: str, before: tuple[int, ...]) -> None:
        for number, sentence, rest in re.findall(r'"(\d)\] " s(\d) (rest[-\d]*)', rules[choice]):
            assert number == sentence
            found.add((*before, int(number)))
            if more := re.fullmatch(r'\("\\n\[" (choice[-\d]*)\)\?', rules[rest]):
                walk(more[1], (*before, int(number)))
            else:
                assert rules[rest] == '""'

    assert rules["root"] == '"0]" | choice'
    walk("choice", ())
    return found


def test_the_grammar_of_two_sentences():
    assert quote_grammar(["One.", "Two."], max_quotes=2, max_chars=400).split("\n") == [
        'root ::= "0]" | choice',
        's1 ::= "One."',
        's2 ::= "Two."',
        'rest-1 ::= ("\\n[" choice-1)?',
        'rest-2 ::= ("\\n[" choice-2)?',
        'choice ::= "1] " s1 rest-1 | "2] " s2 rest-2',
        'rest-1-2 ::= ""',
        'choice-2 ::= "1] " s1 rest-1-2',
        'choice-1 ::= "2] " s2 rest-1-2',
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", '"plain"'),
        ('say "no"', '"say \\"no\\""'),
        ("a\\b", '"a\\\\b"'),
        ("a\\nb", '"a\\\\nb"'),
        ("a\nb\r\tc", '"a\\x0Ab\\x0D\\x09c"'),
        ("{}[]()|#::=", '"{}[]()|#::="'),
        ("\x01\x1b\x7f", '"\\x01\\x1B\x7f"'),
        ("🙂 é", '"🙂 é"'),
    ],
)
def test_a_literal_escapes_what_llama_cpp_would_read_otherwise(text, expected):
    assert literal(text) == expected


def test_each_sentence_is_quoted_once_at_most():
    sentences = ["One.", "Two.", "Six."]
    assert orders(quote_grammar(sentences, max_quotes=1, max_chars=400)) == {(1,), (2,), (3,)}
    two = {(1,), (2,), (3,), (1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (3, 2)}
    assert orders(quote_grammar(sentences, max_quotes=2, max_chars=400)) == two
    three = {(1, 2, 3), (1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1)}
    assert orders(quote_grammar(sentences, max_quotes=3, max_chars=400)) == two | three


def test_the_quotes_are_at_most_max_chars_together_but_one_is_always_offered():
    sentences = ["1234", "123456", "123456789"]
    assert orders(quote_grammar(sentences, max_quotes=3, max_chars=10)) == {(1,), (2,), (3,), (1, 2), (2, 1)}
    assert orders(quote_grammar(sentences, max_quotes=3, max_chars=1)) == {(1,), (2,), (3,)}


def test_one_sentence():
    assert quote_grammar(["One."], max_quotes=3, max_chars=400).split("\n") == [
        'root ::= "0]" | choice',
        's1 ::= "One."',
        'rest-1 ::= ""',
        'choice ::= "1] " s1 rest-1',
    ]


def test_llama_cpp_parses_the_grammar_of_nasty_sentences(llama: LlamaModel):
    assert len(NASTY) == MAX_SENTENCES
    vocabulary = llama_model_get_vocab(llama._llama.model)
    grammar = quote_grammar(NASTY, max_quotes=3, max_chars=400)
    sampler = llama_sampler_init_grammar(vocabulary, grammar.encode(), b"root")
    assert bool(sampler) is True, "llama.cpp refused the grammar"
    llama_sampler_free(sampler)


@pytest.mark.parametrize("number", range(1, MAX_SENTENCES + 1))
def test_the_model_copies_each_nasty_sentence_exactly(llama: LlamaModel, number):
    pieces = llama.generate(
        "Copy.",
        opening="[",
        grammar=quote_grammar(NASTY, max_quotes=1, max_chars=400),
        bias={str(number): 1000.0},
        max_tokens=200,
        cancelled=lambda: False,
    )
    assert "".join(pieces) == f"{number}] {NASTY[number - 1]}"
