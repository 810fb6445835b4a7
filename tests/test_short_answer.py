import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.short_answer import short_answer


@pytest.mark.parametrize(
    ("question", "sentence", "short"),
    [
        ("Until when did the EU extend its curbs?", "The EU extended curbs until June 2017.", "June 2017"),
        ("When was it patented?", "In 1801 he built one; it was patented in 1802.", None),
        ("How many volumes are there?", "It has 79 libraries with over 18 million volumes.", "18 million"),
        ("How long did the uprising last?", "Planned for 48 hours, it went on for 63 days.", None),
        ("How long did it last?", "It lasted 63 days with 12 guns.", "63 days"),
        ("How much did it cost?", "In 1999 the 3 boats cost $5 million.", "$5 million"),
        ("What percentage voted?", "Of 900 people 12% voted.", "12%"),
        ("Who painted the ceiling?", "The ceiling was painted by Rollo in Rouen.", "Rollo"),
        ("Where is the mine?", "The mine of King Rollo lies in Rouen.", "Rouen"),
        ("Who opened it?", "However, nobody did.", None),
        ("Who is it?", "It is he.", None),
        ("When did the war begin?", "The war began in spring.", None),
        ("Why did he resign?", "He resigned because of Rollo in 1999.", None),
        ("What is mined there?", "Salt is mined there since 1290.", None),
        ("", "In 1999.", None),
        ("When?", "", None),
    ],
)
def test_the_short_answer(question, sentence, short):
    assert short_answer(question, sentence) == short


@given(
    st.sampled_from(["When?", "How many years old?", "How much money?", "Who said so?", "Where was Rollo?"]),
    st.lists(
        st.sampled_from(
            [
                "In",
                "1999",
                "$5",
                "3.5",
                "million",
                "years",
                "Rollo",
                "Mr.",
                "of",
                "the",
                "12%",
                "–",
                "é",
                "H2O",
            ]
        )
        | st.text(max_size=5),
        max_size=12,
    ).map(" ".join),
)
def test_it_is_always_a_part_of_the_sentence(question, sentence):
    short = short_answer(question, sentence)
    assert short is None or (short in sentence and short.strip() == short != "")
