"""What is written into files: who may read how much, and that nothing a prompt holds can break out of it."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from heliograph.delivery.provenance import (
    DIGITAL_SOURCE_TYPE,
    EDITED_SOURCE_TYPE,
    SOFTWARE,
    Stamp,
    StampPolicy,
    imprint,
    manifest,
    xmp_packet,
)
from heliograph.domain.ids import TenantId
from heliograph.domain.pictures import ParametersMode
from tests.delivery.signed import MADE_OF

IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"


def properties(packet: str) -> dict[str, str]:
    description = ElementTree.fromstring(packet).find(".//{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
    assert description is not None
    return dict(description.attrib)


def test_full_says_everything_minimal_no_words_of_the_user_none_only_the_origin() -> None:
    full, minimal, none = (imprint(MADE_OF, mode) for mode in ParametersMode)
    assert full.parameters is not None
    assert MADE_OF.prompt in full.parameters
    assert minimal.parameters is not None
    assert "Seed: 7" in minimal.parameters
    assert none.parameters is None
    for written in (minimal, none):
        assert "boat" not in f"{written.parameters}{written.short_parameters}{written.xmp}"
        assert "fog" not in f"{written.parameters}{written.short_parameters}{written.xmp}"
    assert properties(minimal.xmp)[f"{IPTC}AISystemUsed"] == "helio-base"
    assert f"{IPTC}AISystemUsed" not in properties(none.xmp)
    assert {properties(each.xmp)[f"{IPTC}DigitalSourceType"] for each in (full, minimal, none)} == {DIGITAL_SOURCE_TYPE}


@pytest.mark.parametrize(
    "prompt",
    [
        MADE_OF.prompt,
        "\"/><rdf:Description xmp:CreatorTool='somebody'/> & <![CDATA[ ]]> <?xpacket end='w'?>",
        "\x00\x08\ud800\ufffe tab\tline\r\n",
    ],
)
def test_a_prompt_cannot_break_out_of_the_packet(prompt: str) -> None:
    packet = xmp_packet(replace(MADE_OF, prompt=prompt), ParametersMode.FULL)
    packet.encode()
    found = properties(packet)
    assert found["{http://ns.adobe.com/xap/1.0/}CreatorTool"] == SOFTWARE
    readable = "".join(letter if letter.isprintable() or letter in "\t\r\n" else "\ufffd" for letter in prompt)
    assert found[f"{IPTC}AIPromptInformation"] == readable


def test_a_prompt_of_any_length_leaves_a_packet_that_fits_a_jpeg_segment() -> None:
    for prompt in ("&" * 20_000, "🌅" * 30_000):
        packet = xmp_packet(replace(MADE_OF, prompt=prompt), ParametersMode.FULL)
        assert len(packet.encode()) < 65_000
        assert properties(packet)[f"{IPTC}DigitalSourceType"] == DIGITAL_SOURCE_TYPE


def test_what_was_made_of_somebodys_picture_says_so() -> None:
    assert properties(imprint(MADE_OF, ParametersMode.NONE, is_edit=True).xmp)[f"{IPTC}DigitalSourceType"] == (
        EDITED_SOURCE_TYPE
    )


@pytest.mark.parametrize(
    ("one", "other", "less"),
    [("full", "minimal", "minimal"), ("none", "full", "none"), ("minimal", "minimal", "minimal")],
)
def test_the_mode_that_says_less_wins(one: str, other: str, less: str) -> None:
    assert ParametersMode(one).at_most(ParametersMode(other)) is ParametersMode(less)


def test_each_tenant_has_a_mode_of_its_own_or_that_of_all() -> None:
    policy = StampPolicy(parameters=ParametersMode.MINIMAL, of_tenant={"acme": ParametersMode.FULL})
    assert policy.stamp(TenantId("acme"), made_at_s=5.0) == Stamp(parameters=ParametersMode.FULL, made_at_s=5.0)
    assert policy.stamp(TenantId("other"), made_at_s=5.0).parameters is ParametersMode.MINIMAL


def test_a_manifest_of_an_edit_whose_parent_is_not_at_hand_still_says_what_it_is() -> None:
    said = str(manifest("helio-base", Stamp(is_edit=True)))
    assert EDITED_SOURCE_TYPE in said
    assert "c2pa.created" in said


def test_a_manifest_names_no_model_where_nothing_is_to_be_told() -> None:
    assert "helio-base" in str(manifest("helio-base", Stamp(parameters=ParametersMode.MINIMAL)))
    assert "helio-base" not in str(manifest("helio-base", Stamp(parameters=ParametersMode.NONE)))
