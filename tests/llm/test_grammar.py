import re

import pytest
from llama_cpp import llama_model_get_vocab, llama_sampler_free, llama_sampler_init_grammar

from rag.llm.grammar import MAX_SENTENCES, NEXT, ONE_LINE, compose_grammar, label_grammar, literal
from rag.llm.llama import LlamaModel
from rag.models.hub import download
from rag.models.registry import find_language_model

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


def reply(model: LlamaModel, grammar: str, *, opening: str = "", max_tokens: int = 200, bias=None) -> str:
    pieces = model.generate(
        "Copy.",
        opening=opening,
        grammar=grammar,
        bias=bias or {},
        max_tokens=max_tokens,
        cancelled=lambda: False,
    )
    return "".join(pieces)


def test_the_grammar_of_labels():
    assert label_grammar([1, 3], lead="", refusal=False) == 'root ::= "1]" | "3]"'
    assert label_grammar([1, 3], lead="", refusal=True) == 'root ::= "0]" | "1]" | "3]"'
    assert label_grammar([2], lead=NEXT, refusal=False) == 'root ::= "\\x0A[2]"'


@pytest.mark.parametrize("number", range(MAX_SENTENCES + 1))
def test_the_model_writes_the_label_that_is_favoured(llama, number):
    grammar = label_grammar(range(1, MAX_SENTENCES + 1), lead="", refusal=True)
    assert reply(llama, grammar, opening="[", max_tokens=4, bias={str(number): 1000.0}) == f"{number}]"


def test_the_model_goes_on_with_another_label(llama):
    grammar = label_grammar([2, 3], lead=NEXT, refusal=False)
    written = "[1] The war <|im_end|> began."
    assert reply(llama, grammar, opening=written, max_tokens=4, bias={"3": 1000.0}) == "\n[3]"


def test_the_composing_grammar_of_two_sentences():
    assert compose_grammar(["One.", "Two."], max_quotes=2, max_chars=400, may_refuse=True).split("\n")[
        :-1
    ] == [
        'root ::= "[0]" | choice',
        's1 ::= "One."',
        's2 ::= "Two."',
        'rest-1 ::= ("\\n" choice-1)?',
        'rest-2 ::= ("\\n" choice-2)?',
        'choice ::= prose " “" (s1 "” [1]" rest-1 | s2 "” [2]" rest-2)',
        'rest-1-2 ::= ""',
        'choice-2 ::= prose " “" (s1 "” [1]" rest-1-2)',
        'choice-1 ::= prose " “" (s2 "” [2]" rest-1-2)',
    ]


def test_free_words_have_no_marks_that_could_look_like_a_quote_or_a_label():
    *_, prose = compose_grammar(["One."], max_quotes=1, max_chars=400, may_refuse=True).split("\n")
    assert re.fullmatch(r"prose ::= \[\^ ((?:\\u[0-9A-F]{4})+)\] \[\^\1\]\{0,239\}", prose)
    for mark in '“”„«»‹›‘「[]"\n\r\x00\u200b\u202e\ufeff':
        assert f"\\u{ord(mark):04X}" in prose


def orders(sentences: list[str], *, max_quotes: int, max_chars: int) -> set[tuple[int, ...]]:
    """The orders in which the grammar lets the sentences be quoted."""
    grammar = compose_grammar(sentences, max_quotes=max_quotes, max_chars=max_chars, may_refuse=False)
    rules = dict(line.split(" ::= ", 1) for line in grammar.split("\n"))
    found = set()

    def walk(choice: str, before: tuple[int, ...]) -> None:
        for sentence, number, rest in re.findall(r's(\d) "” \[(\d)\]" (rest[-\d]*)', rules[choice]):
            assert number == sentence
            found.add((*before, int(number)))
            if more := re.fullmatch(r'\("\\n" (choice[-\d]*)\)\?', rules[rest]):
                walk(more[1], (*before, int(number)))
            else:
                assert rules[rest] == '""'

    assert rules["root"] == "choice"
    walk("choice", ())
    return found


def test_each_sentence_is_quoted_once_at_most():
    sentences = ["One.", "Two.", "Six."]
    assert orders(sentences, max_quotes=1, max_chars=400) == {(1,), (2,), (3,)}
    two = {(1,), (2,), (3,), (1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (3, 2)}
    assert orders(sentences, max_quotes=2, max_chars=400) == two
    three = {(1, 2, 3), (1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1)}
    assert orders(sentences, max_quotes=3, max_chars=400) == two | three


def test_the_quotes_are_at_most_max_chars_together_but_one_is_always_offered():
    sentences = ["1234", "123456", "123456789"]
    assert orders(sentences, max_quotes=3, max_chars=10) == {(1,), (2,), (3,), (1, 2), (2, 1)}
    assert orders(sentences, max_quotes=3, max_chars=1) == {(1,), (2,), (3,)}


def test_one_sentence():
    grammar = compose_grammar(["One."], max_quotes=3, max_chars=400, may_refuse=True)
    assert grammar.split("\n")[:-1] == [
        'root ::= "[0]" | choice',
        's1 ::= "One."',
        'rest-1 ::= ""',
        'choice ::= prose " “" (s1 "” [1]" rest-1)',
    ]


def test_composing_cannot_be_refused_when_it_may_not():
    grammar = compose_grammar(["One."], max_quotes=1, max_chars=400, may_refuse=False)
    assert grammar.split("\n")[0] == "root ::= choice"


def test_composed_quotes_are_at_most_max_chars_together():
    grammar = compose_grammar(["1234", "123456", "123456789"], max_quotes=3, max_chars=10, may_refuse=False)
    rules = dict(line.split(" ::= ", 1) for line in grammar.split("\n"))
    assert rules["choice-1"] == 'prose " “" (s2 "” [2]" rest-1-2)'
    assert rules["rest-3"] == rules["rest-1-2"] == '""'


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


def test_llama_cpp_parses_the_grammars(llama: LlamaModel):
    assert len(NASTY) == MAX_SENTENCES
    vocabulary = llama_model_get_vocab(llama._llama.model)
    composing = compose_grammar(NASTY, max_quotes=3, max_chars=400, may_refuse=True)
    for grammar in (composing, ONE_LINE):
        sampler = llama_sampler_init_grammar(vocabulary, grammar.encode(), b"root")
        assert bool(sampler) is True, "llama.cpp refused the grammar"
        llama_sampler_free(sampler)


@pytest.mark.parametrize("text", NASTY)
def test_the_model_copies_each_nasty_sentence_exactly(llama: LlamaModel, text):
    assert reply(llama, f"root ::= {literal(text)}", opening="“") == text


def test_a_model_that_composes_comes_to_a_quote(llama: LlamaModel):
    grammar = compose_grammar(["It rained.", "He left."], max_quotes=1, max_chars=400, may_refuse=False)
    assert re.fullmatch(r"[^\r\n“”\[\]]{1,240} “(It rained\.” \[1\]|He left\.” \[2\])", reply(llama, grammar))
