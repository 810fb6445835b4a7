"""Evidence → a GBNF grammar in which the model can choose sentences but not their words.

In `quote` mode it writes labels, one at a time, and each is followed by its sentence (see
`rag.answering.quotes`): `0]` (the documents don't say), or `2]` with `[` standing already at the end of the
prompt, and so on:

    2] He denied it.
    [1] The minister spoke on Monday.

In `compose` mode it writes `[0]`, or sentences of its own, each with the sentence that supports it:

    He said no. “He denied it.” [2]
"""

from collections.abc import Iterable, Sequence

NEXT = "\n["
"""Between a sentence and the next label."""

ONE_LINE = r"root ::= [^\r\n]+"
"""The grammar of any text on one line."""

NOT_IN_PROSE = '[]"\N{FULLWIDTH QUOTATION MARK}`«»‹›„‟“”‘‚‛「」『』〝〞〟' + "".join(
    map(chr, (*range(32), 127, 0xAD, *range(0x200B, 0x2010), *range(0x2028, 0x202F), 0x2060, 0xFEFF))
)
"""Characters that a model's own words can't have: brackets, quotation marks and invisible ones.

The apostrophe ’ is allowed, though it also closes a quotation.
"""

MAX_PROSE_CHARS = 240
"""The most characters of its own before a quote, so that a model that repeats itself gets to one."""

MAX_SENTENCES = 9
"""Labels have one digit, so that each is one token whatever the tokenizer."""


def label_grammar(labels: Iterable[int], *, lead: str, refusal: bool) -> str:
    """The grammar of one of these labels after `lead`, or of `0` for a refusal."""
    return "root ::= " + " | ".join(
        literal(f"{lead}{label}]") for label in ((0, *labels) if refusal else labels)
    )


def compose_grammar(sentences: Sequence[str], *, max_quotes: int, max_chars: int, may_refuse: bool) -> str:
    """The grammar of these sentences, of which there are 1 to `MAX_SENTENCES`, none empty.

    Each is quoted at most once. After the first, a sentence with which the quotes would have more than
    `max_chars` together is not offered. Before each quote stand words of the model's own (`NOT_IN_PROSE`).
    """
    rules = {"root": ('"[0]" | ' if may_refuse else "") + _choice(())}
    for number, text in enumerate(sentences, 1):
        rules[f"s{number}"] = literal(text)
    pending: list[tuple[int, ...]] = [()]
    while pending:
        used = pending.pop()
        if len(used) == max_quotes:
            rules[_rest(used)] = '""'
            continue
        options = []
        for number, text in enumerate(sentences, 1):
            chars = len(text) + sum(len(sentences[other - 1]) for other in used)
            if number in used or (used and chars > max_chars):
                continue
            then = tuple(sorted((*used, number)))
            options.append(f's{number} "” [{number}]" {_rest(then)}')
            if _rest(then) not in rules:
                rules[_rest(then)] = ""
                pending.append(then)
        if used:
            rules[_rest(used)] = f'("\\n" {_choice(used)})?' if options else '""'
        if options:
            rules[_choice(used)] = f'prose " “" ({" | ".join(options)})'
    barred = "".join(f"\\u{ord(character):04X}" for character in NOT_IN_PROSE)
    rules["prose"] = f"[^ {barred}] [^{barred}]{{0,{MAX_PROSE_CHARS - 1}}}"
    return "\n".join(f"{name} ::= {rule}" for name, rule in rules.items())


def literal(text: str) -> str:
    """The text as a GBNF string; llama.cpp takes all but these few characters literally."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c >= " " else f"\\x{ord(c):02X}" for c in escaped) + '"'


def _choice(used: tuple[int, ...]) -> str:
    return "choice" + "".join(f"-{number}" for number in used)


def _rest(used: tuple[int, ...]) -> str:
    return "rest" + "".join(f"-{number}" for number in used)
