"""What users and developers read is plain English: phrases that have to be decoded are refused."""

import re

import pytest

from tests.support import ROOT

REFUSED = {
    r"anew": "rebuilt, again, new",
    r"(re)?mend(s|ed|ing)?": "repair",
    r"(is|are|was|were|be|been|being|and) told of|told by its": "reported, detected from",
    r"(bear|bears|bore|borne|bearing)( it| them| this)? out": "support, not supported by",
    r"so many": "the number itself, or: that many, up to N",
    r"those that are none": "the others, or what they are",
    r"for want of": "did not fit, without",
    r"what else (there is|is)": "the rest, or what it is",
    r"(index|store|file|folder|it|all) is whole|is whole and": "passes the integrity check, is intact",
    r"for the next to go on": "the next build reuses them",
    r"tell(s)? (a|the same|that) story": "near-duplicate",
    r"build that (didn't|did not) end|build that ended early": "interrupted build",
    r"exchange them": "swap them",
    r"wants (a|an) (key|password)|wants TLS": "requires",
    r"this is what it said": "showing the original quote",
    r"(write|writes|writing) it twice": "idempotent",
    r"has kept \{?\w+\}? vectors": "left N vectors",
}
"""Phrases, as regular expressions between the edges of words, each with what to write in its place."""

SUFFIXES = {".py", ".md", ".txt", ".css", ".js", ".toml", ".yaml"}


def text_of(path) -> str:
    """The text of a file, in which a sentence that goes on in the next line of code is one."""
    text = path.read_text("utf-8")
    if path.suffix == ".py":
        text = re.sub(r"\"\s*\n\s*f?\"|\n\s*#", " ", text)
    return re.sub(r"\s+", " ", text)


def read_by_people() -> list:
    """The package, the page, and every document of the repository."""
    found = [ROOT / "app.py", ROOT / "pyproject.toml", *sorted(ROOT.glob("*.md"))]
    for folder in ("rag", ".github"):
        found += sorted((ROOT / folder).rglob("*"))
    found += sorted((ROOT / "tests").rglob("*.md"))
    return [path for path in found if path.suffix in SUFFIXES and path.is_file()]


def refused_in(text: str) -> list[str]:
    """Each refused phrase with what stands around it, and what to write."""
    return [
        f"…{text[max(match.start() - 30, 0) : match.end() + 30]}… Write: {better}"
        for phrase, better in REFUSED.items()
        for match in re.finditer(rf"(?<![A-Za-z])(?:{phrase})(?![A-Za-z])", text, re.IGNORECASE)
    ]


def hits() -> list[str]:
    return [
        f"{path.relative_to(ROOT)}: {hit}" for path in read_by_people() for hit in refused_in(text_of(path))
    ]


@pytest.mark.parametrize(
    "text",
    [
        "A file that was damaged is made anew.",
        "--repair mends what it can.",
        "What the quote doesn't bear out is dropped.",
        "Not shown to the model, for want of room.",
        "It has so many chunks.",
        "rag doctor proves that the index is whole and in step.",
    ],
)
def test_such_phrases_are_found(text):
    assert len(refused_in(text)) == 1


@pytest.mark.parametrize(
    "text",
    ["The whole document is shown.", "It is recommended.", "An amended file.", "What was told to the user."],
)
def test_plain_english_is_not(text):
    assert refused_in(text) == []


def test_nothing_that_people_read_has_one():
    found = hits()
    assert found == [], "\n".join(found)
