"""
Write examples/job.jsonl: a job as a person would run it, in the OpenAI Batch line format.

    python examples/make_job.py [OUT]

A small publisher goes through its shelf: it summarises, translates, indexes,
modernises and classifies passages, asks questions of whole chapters, sorts the
letters of its readers, and embeds paragraphs for a search page. Prompts run
from a few words to a whole chapter, because real files do, and that is what a
token budget has to cope with. The texts are public domain and lie in texts/.

The same seed gives the same bytes; a test compares them.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SEED = 1865

SMALL = "gpt-4o-mini-2024-07-18"
LARGE = "gpt-4o-2024-08-06"
EMBEDDING = "text-embedding-3-small"

Row = dict[str, Any]

TITLES = {
    "alice": "Alice's Adventures in Wonderland",
    "cities": "A Tale of Two Cities",
    "declaration": "the Declaration of Independence",
    "gettysburg": "the Gettysburg Address",
    "origin": "On the Origin of Species",
    "pride": "Pride and Prejudice",
    "scandal": "A Scandal in Bohemia",
    "whale": "Moby-Dick",
}

LANGUAGES = ("German", "French", "Spanish", "Japanese", "Russian", "Arabic", "Hindi", "Chinese")

READERS = (
    "The paperback of Moby-Dick fell apart after forty pages. The glue simply gave up. I would like a new copy.",
    "Lovely typeface, and the notes at the end are a joy. My grandmother could read it without her glasses!",
    "Where is my order? It was to be here on Tuesday and it is Friday now. Nobody answers the telephone.",
    "Could you tell me whether the Austen box comes with the letters, or only with the six novels?",
    "Das Buch kam pünktlich an, aber der Umschlag war zerrissen. Bitte schicken Sie mir einen neuen.",
    "J’ai adoré la préface ; la traduction, en revanche, est truffée de coquilles à partir du chapitre 3.",
    "El libro es precioso, pero me han cobrado dos veces. Espero la devolución cuanto antes.",
    "届いた本は表紙が逆さまでした。珍しいので、このまま持っていてもいいでしょうか。",
    "Page 212 is missing. Page 211 is there twice. I suppose that evens out, but not for the murderer.",
    "Thank you for the quick replacement. This is how it should be.",
    "I am a teacher and need thirty copies of Alice by the first of September. Is there a price for schools?",
    "Спасибо! Книга замечательная, дети читают вслух каждый вечер.",
    "Your newsletter comes four times a day. I like you, but not that much.",
    "The audio version skips from chapter nine to chapter eleven. What happened in chapter ten?",
    "A masterpiece, printed like a telephone book. Three stars, all of them for Mr. Darwin.",
    "Ho ricevuto il volume sbagliato: avevo ordinato Dante e mi è arrivato un manuale di giardinaggio.",
    "你們的書紙質很好，可惜運費太貴了。",
    "Please delete my account and everything you know about me. Kindly confirm when it is done.",
    "I found a pressed violet between pages 88 and 89. Was that you? It made my week. 🌸",
    "The index sends me to page 1,204 of a book that has 318 pages.",
)

SHORT = (
    "Who wrote Walden?",
    "Spell “Ishmael” backwards.",
    "Give me three words for fog.",
    "What is a daisy-chain?",
    "Is a whale a fish?",
    "Name a novel set in 1775.",
    "What does “Bohemia” mean here?",
    "How old was Alice Liddell in 1865?",
    "Which sea surrounds Manhattan?",
    "What is a gasogene?",
    "Past tense of “to shew”?",
    "¿Quién fue Dulcinea?",
    "Was ist ein Erlkönig?",
    "「名前はまだ無い」を英語で。",
    "Кто такой Облонский?",
    "When is Michaelmas?",
    "A synonym for “caprice”, please.",
    "How many is four score and seven?",
    "What rhymes with “temperate”?",
    "Translate: “Arma virumque cano”.",
)

QUESTIONS = {
    "alice": (
        "What did Alice take from a shelf while she fell, and why did she put it back?",
        "List every object Alice finds in the hall, in the order she finds them, with what she does with each.",
        "Which of Alice's fears turn out to be groundless? Quote the sentence that shows it.",
        "How does the narrator make fun of what Alice learnt at school?",
    ),
    "declaration": (
        "Which complaints against the king concern the courts, and which the army?",
        "State the argument of the second paragraph as numbered premises and a conclusion.",
        "Which rights are called unalienable, and what follows when a government destroys them?",
    ),
    "pride": (
        "What does each of the Bennets want from the other in this conversation?",
        "What is known about Mr. Bingley by the end of the chapter, and from whom?",
    ),
    "scandal": (
        "What has the narrator been doing lately, and how does Holmes know?",
        "Why does the narrator think that love would harm Holmes's work?",
    ),
    "whale": ("When does the narrator go to sea? Give all the signs he names.",),
    "origin": ("Which laws does the last paragraph name, and how does each lead to the next?",),
}

NAMES_SCHEMA = {
    "name": "names",
    "strict": True,
    "schema": {
        "type": "object",
        "properties": {
            "people": {"type": "array", "items": {"type": "string"}},
            "places": {"type": "array", "items": {"type": "string"}},
            "dates": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["people", "places", "dates"],
        "additionalProperties": False,
    },
}

LETTER_SCHEMA = {
    "name": "letter",
    "strict": True,
    "schema": {
        "type": "object",
        "properties": {
            "topic": {"type": "string", "enum": ["defect", "delivery", "billing", "question", "praise", "privacy"]},
            "language": {"type": "string"},
            "urgent": {"type": "boolean"},
            "one_line": {"type": "string"},
        },
        "required": ["topic", "language", "urgent", "one_line"],
        "additionalProperties": False,
    },
}


def load() -> dict[str, list[str]]:
    """The paragraphs of each text, without the line that names its source."""
    texts = {}
    for path in sorted((HERE / "texts").glob("*.txt")):
        _source, *paragraphs = path.read_text(encoding="utf-8").strip().split("\n\n")
        texts[path.stem] = paragraphs
    return texts


def chat(
    model: str, prompt: str, *, system: str | None = None, max_tokens: int | None = None, schema: Row | None = None
) -> Row:
    """The body of one chat completion; what is None is left out, as people do."""
    messages = [{"role": "system", "content": system}] if system else []
    body: Row = {"model": model, "messages": [*messages, {"role": "user", "content": prompt}]}
    if max_tokens is not None:
        body["max_tokens"] = max_tokens
    if schema is not None:
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def passage(paragraphs: list[str], dice: random.Random) -> str:
    """A few paragraphs in a row: mostly short, now and then nearly everything."""
    length = min(len(paragraphs), 1 + int(dice.paretovariate(1.1)))
    start = dice.randrange(len(paragraphs) - length + 1)
    return "\n\n".join(paragraphs[start : start + length])


def summaries(texts: dict[str, list[str]], dice: random.Random) -> Iterator[Row]:
    """Passages of any length, summarised to a length that is stated in words and sometimes in tokens too."""
    for number in range(60):
        name = list(TITLES)[number % len(TITLES)]
        words = dice.choice((20, 50, 120))
        yield chat(
            dice.choice((SMALL, SMALL, LARGE)),
            f"Summarise this passage from {TITLES[name]} in at most {words} words.\n\n{passage(texts[name], dice)}",
            system="You write for the back cover of a book: plain, exact, no praise.",
            max_tokens=dice.choice((None, 2 * words)),
        )


def translations(texts: dict[str, list[str]], dice: random.Random) -> Iterator[Row]:
    """The world's poems into English, and English paragraphs into the world's languages."""
    for poem in texts["world"]:
        heading, lines = poem.split("\n", 1)
        yield chat(
            LARGE,
            f"Translate into English, line by line, keeping the metre where you can. {heading}\n\n{lines}",
            max_tokens=400,
        )
    for number in range(36):
        name = dice.choice(list(TITLES))
        language = LANGUAGES[number % len(LANGUAGES)]
        yield chat(SMALL, f"Translate into {language}:\n\n{dice.choice(texts[name])}")


def names(texts: dict[str, list[str]], dice: random.Random) -> Iterator[Row]:
    """People, places and dates for the index."""
    for number in range(40):
        name = list(TITLES)[number % len(TITLES)]
        yield chat(
            SMALL,
            f"Which people, places and dates are named in this text?\n\n{passage(texts[name], dice)}",
            system="You make the index of a book. Answer with names as they are printed, nothing else.",
            max_tokens=300,
            schema=NAMES_SCHEMA,
        )


def letters(_texts: dict[str, list[str]], dice: random.Random) -> Iterator[Row]:
    """Readers' letters, sorted and then answered."""
    for letter in READERS:
        yield chat(SMALL, letter, system="Classify the letter of a reader.", max_tokens=120, schema=LETTER_SCHEMA)
    for letter in READERS:
        yield chat(
            dice.choice((SMALL, LARGE)),
            f"Answer this letter in its own language, kindly and in no more than five sentences.\n\n{letter}",
            system="You answer letters for a small publisher of classics.",
        )


def rewritings(texts: dict[str, list[str]], dice: random.Random) -> Iterator[Row]:
    """Old prose made new."""
    manners = ("for a child of nine", "as a news item", "in plain modern English", "without a single adjective")
    for number in range(40):
        name = dice.choice(list(TITLES))
        yield chat(
            dice.choice((SMALL, SMALL, LARGE)),
            f"Rewrite this {manners[number % len(manners)]}:\n\n{passage(texts[name], dice)}",
            max_tokens=dice.choice((None, None, 800)),
        )


def questions(texts: dict[str, list[str]], dice: random.Random) -> Iterator[Row]:
    """Short questions with no context, and questions asked of a whole text."""
    for question in SHORT:
        yield chat(SMALL, question, max_tokens=dice.choice((None, 60)))
    for name, asked in QUESTIONS.items():
        whole = "\n\n".join(texts[name])
        for question in asked:
            yield chat(
                LARGE,
                f"<text>\n{whole}\n</text>\n\n{question}",
                system="Answer from the text alone. Say so if the text does not tell.",
                max_tokens=dice.choice((None, 500)),
            )


def conversations(texts: dict[str, list[str]], dice: random.Random) -> Iterator[Row]:
    """A talk that has been going on for a while."""
    for number in range(12):
        name = list(TITLES)[number % len(TITLES)]
        body = chat(SMALL, f"What strikes you in this?\n\n{dice.choice(texts[name])}", system="You lead a book club.")
        body["messages"] += [
            {"role": "assistant", "content": "The long sentences: each holds its breath until the last word."},
            {"role": "user", "content": dice.choice(("Show me one, and where it turns.", "Is that so in every line?"))},
        ]
        body["max_completion_tokens"] = 250
        yield body


def comparisons(texts: dict[str, list[str]], dice: random.Random) -> Iterator[Row]:
    """Two texts side by side: the longest prompts of the job."""
    pairs = [("gettysburg", "declaration"), ("pride", "scandal"), ("whale", "cities"), ("alice", "gettysburg")]
    for first, second in pairs * 2:
        both = [f"{TITLES[name]}:\n\n{chr(10).join(texts[name])}" for name in (first, second)]
        yield chat(
            LARGE,
            "Compare the two texts: who speaks, to whom, and what for?\n\n" + "\n\n---\n\n".join(both),
            max_tokens=dice.choice((600, 900)),
        )


def embeddings(texts: dict[str, list[str]], dice: random.Random) -> Iterator[Row]:
    """Paragraphs for the search page, one by one and in small packets."""
    paragraphs = [paragraph for name in TITLES for paragraph in texts[name]] + texts["world"]
    for paragraph in dice.sample(paragraphs, 44):
        yield {"model": EMBEDDING, "input": paragraph}
    for _ in range(8):
        yield {"model": EMBEDDING, "input": dice.sample(paragraphs, 6), "encoding_format": "float"}


TASKS = (summaries, translations, names, letters, rewritings, questions, conversations, comparisons, embeddings)


def rows() -> list[Row]:
    """Every row of the job, in the mixed order in which such files are written."""
    dice = random.Random(SEED)
    texts = load()
    made = []
    for task in TASKS:
        for number, body in enumerate(task(texts, dice), start=1):
            url = "/v1/embeddings" if "input" in body else "/v1/chat/completions"
            row: Row = {"custom_id": f"{task.__name__}-{number:03}", "method": "POST", "url": url, "body": body}
            if task is letters:
                row["metadata"] = {"inbox": f"2024-{1 + number % 12:02}"}
            made.append(row)
    dice.shuffle(made)
    return made


def text() -> str:
    """The file, with other scripts as they are written."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows())


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "job.jsonl"
    made = text()
    out.write_text(made, encoding="utf-8")
    lengths = sorted(len(line) for line in made.split("\n") if line)
    shortest, median, longest = lengths[0], lengths[len(lengths) // 2], lengths[-1]
    print(f"{len(lengths)} rows, lines of {shortest} to {longest} characters, half of them below {median}")


if __name__ == "__main__":
    main()
