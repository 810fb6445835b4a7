"""The steps of the recipe, as they are typed."""

import re
from dataclasses import replace
from hashlib import sha256

import pytest

from rag.training.__main__ import main
from rag.training.examples import SETS, write
from rag.training.figures import figures
from tests.support.fakes import ScriptedReader
from tests.support.training_examples import CANDIDATES, EXAMPLES


@pytest.mark.model
def test_a_reader_comes_with_its_card(tmp_path, capsys):
    examples = [
        replace(one, dataset="squad2", held_out=number % 2 == 0) for number, one in enumerate(EXAMPLES)
    ]
    write(iter(examples), tmp_path / "examples.jsonl")
    file, made = str(tmp_path / "examples.jsonl"), str(tmp_path / "made")
    main(["reader", "--examples", file, "--questions", "16", "--seed", "3", "--out", made])
    card = (tmp_path / "made" / "reader.md").read_text("utf-8")
    digest = sha256((tmp_path / "made" / "reader.safetensors").read_bytes()).hexdigest()
    assert f"sha256 of the file: {digest}" in card
    assert "| squad2 | CC BY-SA 4.0 | 2 | 3 |" in card
    assert "--questions 16 --seed 3`: 2 steps of 8 questions, with a learning rate of 0.0001 (0.001" in card
    assert re.search(r"^\| squad2 first \| [01]\.\d{3} \|$", card, re.M)
    assert capsys.readouterr().out == card + "\n"


def test_all_that_is_learnt_from_has_a_licence_that_lets_it_be_passed_on():
    assert set(SETS.values()) <= {"CC BY-SA 4.0", "Apache-2.0"}
    assert not {"news2024", "news2025"} & set(SETS)


def test_an_error_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as raised:
        main(["reader", "--examples", str(tmp_path / "none"), "--out", str(tmp_path)])
    assert raised.value.code == f"There is no file {tmp_path / 'none'}."


def test_the_figures_are_shares_of_questions():
    two = EXAMPLES[:2]  # where the Rhine rises, and the Danube
    none = EXAMPLES[5]
    rhine, *others = (candidate.text for candidate in CANDIDATES)
    reader = ScriptedReader({rhine: 2.0} | dict.fromkeys(others, 1.0), marks=(19, 23, 0.9))
    # The Rhine's sentence has the best score for all three. Its last four letters are "Chur", the right
    # answer of the first; "ise" and a space, of "The Danube rises in Donau.", are not that of the second.
    assert figures(reader, [*two, none]) == {"rivers first": 0.5, "rivers auc": 0.5, "rivers f1": 0.5}
