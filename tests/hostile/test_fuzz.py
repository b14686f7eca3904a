"""A short attack on all decoders with mutated inputs; `python -m tests.hostile` is the long one."""

import random

import pytest

from hostile import fuzz
from hostile.decoders import Decoder
from nowcastlib.errors import NowcastError


def test_mutated_inputs_are_refused_or_decoded_but_never_crash_a_decoder():
    report = fuzz.run(range(100), seconds=120)
    assert report.bad == [], report.table()
    assert {sum(row.values()) for row in report.counts.values()} == {100}, report.table()
    refused = {kind for kind, row in report.counts.items() if row["refused"]}
    assert refused == set(report.counts), "an attack that nothing refuses tests nothing"


@pytest.mark.parametrize("number", [137, 957])
def test_inputs_that_once_hung_for_ever_are_refused(number):
    report = fuzz.run(range(number, number + 1), seconds=60, only=["bom"])
    assert report.counts["bom"]["refused"] == 1, report.table()


def broken(content: bytes) -> bytes:
    """A decoder with one fault for each bad outcome."""
    if content == b"good":
        return content
    if content[:1] < b"g":
        raise ValueError("unforeseen")
    if len(content) < 4:
        raise NowcastError("too short")
    return content


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"good", "equal"), (b"gone", "wrong"), (b"bad!", "traceback"), (b"goo", "refused")],
)
def test_outcomes_are_told_apart(content, expected):
    decoder = Decoder(b"good", broken, has_checksum=True)
    assert fuzz.outcome(decoder, b"good", content)[0] == expected


def test_mutations_can_be_repeated():
    decoder = Decoder(bytes(range(200)), bytes)
    first = [fuzz.mutated("x", seed, decoder) for seed in range(50)]
    assert first == [fuzz.mutated("x", seed, decoder) for seed in range(50)]
    assert len(set(first)) > 40
    assert random.Random("x 1").random() != random.Random("x 2").random()
