"""Usage times prices; a price that is not known is unknown, never nothing."""

import re
from pathlib import Path

import pytest

from talkspurt.errors import ConfigurationError
from talkspurt.telemetry.cost import Prices, Used, reckon

USED: Used = {
    ("recognition", "deepgram", "seconds"): 180.0,
    ("model", "openai:gpt-5-mini", "input"): 20_000.0,
    ("model", "openai:gpt-5-mini", "cached"): 40_000.0,
    ("model", "openai:gpt-5-mini", "output"): 1_000.0,
    ("model", "openai:gpt-5-mini", "discarded"): 700.0,
    ("synthesis", "elevenlabs", "characters"): 1_500.0,
    ("synthesis", "elevenlabs", "cached_characters"): 400.0,
    ("carrier", "twilio", "seconds"): 180.0,
}
LIST = """
[recognition.deepgram]
minute = 0.01
date = "2026-01"
source = "a test"

[model."openai:gpt-5-mini"]
input = 1.0
cached = 0.1
output = 10.0
date = "2026-01"
source = "a test"

[synthesis.elevenlabs]
thousand_characters = 0.2
date = "2026-01"
source = "a test"

[carrier.twilio]
minute = 0.02
date = "2026-01"
source = "a test"

[hosting.server]
hour = 6.0
calls = 10
date = "2026-01"
source = "a test"
"""


def prices(tmp_path: Path, text: str = LIST) -> Prices:
    path = tmp_path / "prices.toml"
    path.write_text(text, encoding="utf-8")
    return Prices.load(path)


def test_each_part_of_a_call_has_its_price(tmp_path: Path) -> None:
    bill = reckon(USED, prices(tmp_path))
    assert [line.part for line in bill.lines] == ["recognition", "model", "synthesis", "hosting", "carrier"]
    assert [line.cost for line in bill.lines] == pytest.approx([0.03, 0.02 + 0.004 + 0.01, 0.3, 0.03, 0.06])
    assert bill.complete
    assert bill.known == pytest.approx(0.454)
    assert bill.minutes == 3.0
    assert "700 of them for nobody" in bill.lines[1].amount
    assert "400 more from the cache" in bill.lines[2].amount


def test_an_unknown_price_is_unknown_and_the_total_a_lower_bound(tmp_path: Path) -> None:
    used = {**USED, ("model", "mistral:new", "input"): 1000.0}
    bill = reckon(used, prices(tmp_path))
    unknown = next(line for line in bill.lines if line.vendor == "mistral:new")
    assert (unknown.cost, unknown.source) == (None, "no price known")
    assert not bill.complete
    assert bill.known == pytest.approx(0.454)


def test_without_a_price_of_hosting_it_is_unknown_and_not_nothing(tmp_path: Path) -> None:
    bill = reckon(USED, prices(tmp_path, LIST.partition("[hosting.server]")[0]))
    [line] = [line for line in bill.lines if line.part == "hosting"]
    assert (line.amount, line.cost, line.source) == ("3.00 min", None, "no price known")
    assert not bill.complete


def test_the_same_call_can_be_reckoned_with_another_provider(tmp_path: Path) -> None:
    used: Used = {("recognition", "whisper", "seconds"): 60.0, ("carrier", "twilio", "seconds"): 60.0}
    bill = reckon(used, prices(tmp_path), instead={"recognition": "deepgram"})
    assert bill.lines[0].vendor == "deepgram"
    assert bill.lines[0].cost == pytest.approx(0.01)


def test_what_a_model_paid_by_its_sound_would_cost_is_unknown_where_no_sound_was_counted(tmp_path: Path) -> None:
    speaks = (
        '[model."openai-realtime:x"]\ninput = 4.0\ncached = 0.4\noutput = 24.0\naudio_input = 32.0\n'
        'audio_cached = 0.4\naudio_output = 64.0\ndate = "2026-01"\nsource = "a test"\n'
    )
    words: Used = {("model", "scripted", "input"): 1000.0, ("model", "scripted", "output"): 50.0}
    bill = reckon(words, prices(tmp_path, LIST + speaks), instead={"model": "openai-realtime:x"})
    line = next(line for line in bill.lines if line.part == "model")
    assert (line.cost, line.source) == (None, "what it would hear and speak was not measured")
    sound: Used = {**words, ("model", "scripted", "audio_input"): 500.0}
    bill = reckon(sound, prices(tmp_path, LIST + speaks), instead={"model": "openai-realtime:x"})
    assert next(line for line in bill.lines if line.part == "model").cost == pytest.approx(
        (4.0 * 1000 + 24.0 * 50 + 32.0 * 500) / 1e6
    )


@pytest.mark.parametrize(
    ("measured", "instead", "seconds"),
    [
        pytest.param("whisper", "deepgram", 60.0, id="who hears the line hears all of it"),
        pytest.param("whisper", "openai", 20.0, id="who hears utterances is sent no silence"),
        pytest.param("deepgram", "openai", 60.0, id="what utterances there were nobody knows: at most the line"),
        pytest.param("deepgram", "deepgram", 75.0, id="what was sent again is paid for again"),
    ],
)
def test_another_recognizer_is_charged_for_what_it_would_hear(
    tmp_path: Path, measured: str, instead: str, seconds: float
) -> None:
    sent = {"whisper": 20.0, "deepgram": 75.0}[measured]
    used: Used = {("recognition", measured, "seconds"): sent, ("recognition", measured, "line_seconds"): 60.0}
    stretches = '[recognition.openai]\nminute = 0.01\nhears = "utterances"\ndate = "2026-01"\nsource = "a test"\n'
    bill = reckon(used, prices(tmp_path, LIST + stretches), instead={"recognition": instead})
    assert bill.lines[0].cost == pytest.approx(0.01 * seconds / 60)
    assert bill.lines[0].amount == f"{seconds / 60:.2f} min"


def test_the_bundled_list_says_of_each_price_when_and_where_it_was_found() -> None:
    bundled = Prices.load()
    entries = [price for part in bundled for price in part[1].values()]
    assert len(entries) > 8
    assert all(len(entry.date) == 7 and entry.source for entry in entries)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[recognition.x]\nminute = -1\ndate = 'd'\nsource = 's'", "recognition.x.minute"),
        ("[recognition.x]\nminute = 1", "recognition.x.date"),
        ("[recogniton.x]\nminute = 1", "recogniton"),
        ("not toml", "not valid TOML"),
    ],
)
def test_a_list_that_cannot_be_right_is_refused_with_the_place(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        prices(tmp_path, text)


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml"):
        Prices.load(tmp_path / "none.toml")


def test_sound_has_its_own_price_and_without_one_the_cost_is_unknown(tmp_path: Path) -> None:
    heard: Used = {**USED, ("model", "openai:gpt-5-mini", "audio_input"): 1_000.0}
    [line] = [line for line in reckon(heard, prices(tmp_path)).lines if line.part == "model"]
    assert line.cost is None
    assert "of sound 1000 in" in line.amount
    priced = LIST.replace("output = 10.0\n", "output = 10.0\naudio_input = 30.0\n")
    [line] = [line for line in reckon(heard, prices(tmp_path, priced)).lines if line.part == "model"]
    assert line.cost == pytest.approx(0.02 + 0.004 + 0.01 + 0.03)


NAMED = re.compile(
    r"\b(?:anthropic|openai|openai-realtime|gemini-live|google|groq|mistral):[a-z0-9][a-z0-9.-]*[a-z0-9]"
)


def test_the_models_that_the_readme_and_the_docs_name_have_a_price() -> None:
    root = Path(__file__).parents[2]
    pages = (root / "README.md", *(root / "docs").glob("*.md"), root / "src" / "talkspurt" / "cli.py")
    named = {name: page.name for page in pages for name in NAMED.findall(page.read_text(encoding="utf-8"))}
    assert {"anthropic:claude-sonnet-5-5", "openai:gpt-5-mini"} <= named.keys()
    priced = Prices.load()
    assert {name: page for name, page in named.items() if name not in priced.model | priced.recognition} == {}
