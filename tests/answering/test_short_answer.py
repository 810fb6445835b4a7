import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answering.short_answer import short_answer


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
        ("Who was president when the war ended?", "The war ended in 1945.", None),
        ("What happened when the bomb fell?", "The bomb fell on 6 August.", None),
        ("How many people live in Paris?", "In 2015, people in Paris voted.", None),
        ("How many people died?", "One of the attacks killed people.", None),
        ("How many people died?", "No people died in the 3 attacks.", None),
        ("How many people died?", "In the attack 12 people died.", "12"),
        ("How old is the mayor?", "The mayor joined 3 clubs.", None),
        ("What percentage of voters agreed?", "The voters agreed after 3 meetings.", None),
        ("Who killed the king?", "The king was killed in Paris.", None),
        ("Who spoke?", "On Monday the minister spoke.", None),
        ("Who resigned?", "Yesterday the minister resigned.", None),
        ("Where did he go?", "The Prime Minister went home.", None),
        ("How much did it cost?", "It cost $5m.", "$5m"),
        ("How many people live there?", "About 20 000 people live there.", "20 000"),
        ("How high was the temperature?", "The temperature was -5 degrees.", "-5 degrees"),
        ("When did the prime minister resign?", "Theresa May resigned as prime minister.", None),
        ("When did the battle begin?", "About 1500 soldiers died in the battle.", None),
        ("When did the battle begin?", "The battle began in 1500 near Rouen.", "1500"),
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
