"""Signed links: what opens, and what does not."""

import re

import pytest

from heliograph.delivery.links import sign, verify
from heliograph.domain.ids import OutputId

SECRET = bytes(range(32))
OUTPUT = OutputId("out_1")
SIGNATURE = sign(SECRET, OUTPUT, "main", 1000)


def test_a_link_opens_until_it_expires() -> None:
    assert verify(SECRET, OUTPUT, "main", 1000, SIGNATURE, now_s=0.0)
    assert verify(SECRET, OUTPUT, "main", 1000, SIGNATURE, now_s=999.9)
    assert not verify(SECRET, OUTPUT, "main", 1000, SIGNATURE, now_s=1000.0)


@pytest.mark.parametrize(
    ("secret", "output", "variant", "expires_at_s"),
    [
        (bytes(32), "out_1", "main", 1000),
        (SECRET, "out_2", "main", 1000),
        (SECRET, "out_1", "thumbnail", 1000),
        (SECRET, "out_1", "main", 1001),
        (SECRET, "out_1\nmain", "", 1000),
    ],
)
def test_a_signature_is_good_for_nothing_else(secret: bytes, output: str, variant: str, expires_at_s: int) -> None:
    assert not verify(secret, OutputId(output), variant, expires_at_s, SIGNATURE, now_s=0.0)


@pytest.mark.parametrize(
    "forged", ["", SIGNATURE[:-1], SIGNATURE + "A", SIGNATURE.swapcase(), "é" * 24, "\ud800", SIGNATURE + "\0"]
)
def test_a_changed_signature_is_refused_and_never_raises(forged: str) -> None:
    assert not verify(SECRET, OUTPUT, "main", 1000, forged, now_s=0.0)


def test_it_is_url_safe_and_holds_at_least_128_bits() -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{22,}", SIGNATURE)
    assert len({sign(SECRET, OutputId(f"out_{n}"), "main", 1) for n in range(200)}) == 200
