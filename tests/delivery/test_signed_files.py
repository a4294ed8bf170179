"""Signed files, as we read them and as a reader does that shares no code with what signs."""

import io
import random
import sys
from pathlib import Path

import encypher_c2pa
import pytest
from cryptography import x509
from PIL import Image

from heliograph.delivery import pyav
from heliograph.delivery.c2pa import C2paSigner
from heliograph.delivery.certificates import ANCHORS, CHAIN, KEY, local_identity, operator_identity
from heliograph.delivery.inspection import FileInspector
from heliograph.delivery.provenance import DIGITAL_SOURCE_TYPE, EDITED_SOURCE_TYPE, Stamp
from heliograph.delivery.signing import LOCAL_LABEL, SigningFailed, SigningIdentity
from heliograph.delivery.verification import Integrity, Trust, Verification, conclude
from heliograph.domain.errors import InvalidRequest, Unavailable
from tests.delivery.certificate_authority import a_chain
from tests.delivery.signed import ENCODINGS, a_signer, signed, unsigned


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("installation")


@pytest.fixture(scope="module")
def signer(folder: Path) -> C2paSigner:
    return a_signer(folder)


@pytest.fixture(scope="module")
def inspector(folder: Path, signer: C2paSigner) -> FileInspector:
    return FileInspector(folder / ANCHORS)


def verified(inspector: FileInspector, data: bytes) -> Verification:
    return conclude(inspector.look(data))


@pytest.mark.parametrize("kind", ENCODINGS)
def test_a_signed_file_says_who_made_it_with_what_and_that_it_is_whole(
    kind: str, signer: C2paSigner, inspector: FileInspector
) -> None:
    found = verified(inspector, signed(kind, signer))
    assert (found.integrity, found.trust, found.reasons) == (Integrity.INTACT, Trust.INSTALLATION, ())
    assert found.is_machine_made
    manifest = found.inspection.manifest
    assert manifest is not None
    assert (manifest.agent, manifest.source_type) == ("helio-base", DIGITAL_SOURCE_TYPE)
    assert manifest.made_at == "2026-09-21T14:13:20Z"
    assert LOCAL_LABEL in str(manifest.issued_by)
    assert str(manifest.generator).startswith("Heliograph/")
    if kind != "mp4":
        assert found.inspection.parameters is not None
        assert "Seed: 7" in found.inspection.parameters


@pytest.mark.parametrize("is_edit", [False, True])
@pytest.mark.parametrize("kind", ENCODINGS)
def test_an_independent_reader_finds_every_signed_file_valid(kind: str, is_edit: bool, signer: C2paSigner) -> None:
    data = signed(kind, signer, ingredient=unsigned("jpeg") if is_edit else None)
    report = encypher_c2pa.verify(data, ENCODINGS[kind].mime_type)
    assert (report["integrity"], report["signature"], report["hard_binding"]) == ("valid", "valid", "match")
    failures = {each["code"] for each in report["validation_results"]["failure"]}
    assert failures == {"signingCredential.untrusted"}, "nobody's trust list has our own certificate"


@pytest.mark.parametrize("kind", ENCODINGS)
def test_one_flipped_bit_anywhere_is_noticed(kind: str, signer: C2paSigner, inspector: FileInspector) -> None:
    data, dice = signed(kind, signer), random.Random(kind)
    for _ in range(120):
        at = dice.randrange(len(data))
        changed = bytearray(data)
        changed[at] ^= 1 << dice.randrange(8)
        assert verified(inspector, bytes(changed)).integrity is not Integrity.INTACT, f"byte {at} of {len(data)}"


@pytest.mark.parametrize("kind", ENCODINGS)
@pytest.mark.parametrize("change", ["cut", "longer", "saved again"])
def test_a_file_that_is_not_as_it_was_signed_is_not_intact(
    kind: str, change: str, signer: C2paSigner, inspector: FileInspector
) -> None:
    data = signed(kind, signer)
    changed = {"cut": data[:-7], "longer": data + b"\0" * 64}.get(change) or saved_again(kind, data)
    assert verified(inspector, changed).integrity is not Integrity.INTACT


def saved_again(kind: str, data: bytes) -> bytes:
    again = io.BytesIO()
    if kind == "mp4":
        frames = pyav.read_film(data, frames_max=9)
        return pyav.encode_film(frames, ENCODINGS[kind], frames_per_second=8, comment="", xmp="<x/>")
    with Image.open(io.BytesIO(data)) as image:
        image.save(again, image.format)
    return again.getvalue()


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "mp4"])
def test_a_manifest_that_is_torn_to_pieces_is_read_without_harm(
    kind: str, signer: C2paSigner, inspector: FileInspector
) -> None:
    data, dice = signed(kind, signer), random.Random(kind)
    start = data.index(b"jumbd" if b"jumbd" in data else b"jumb")
    for _ in range(60):
        torn = bytearray(data)
        for _ in range(dice.randrange(1, 30)):
            torn[start + dice.randrange(3_000)] = dice.randrange(256)
        assert verified(inspector, bytes(torn)).integrity is not Integrity.INTACT


def test_an_edit_names_its_parent_and_says_that_it_is_a_composite(signer: C2paSigner, inspector: FileInspector) -> None:
    found = verified(inspector, signed("png", signer, ingredient=unsigned("jpeg")))
    assert found.integrity is Integrity.INTACT
    assert found.inspection.manifest is not None
    assert found.inspection.manifest.source_type == EDITED_SOURCE_TYPE
    assert found.is_machine_made


def test_signing_adds_a_few_kilobytes_and_no_thumbnail(signer: C2paSigner) -> None:
    for kind in ENCODINGS:
        assert len(signed(kind, signer)) - len(unsigned(kind)) < 4_500


def test_a_stranger_signs_well_and_is_a_stranger(tmp_path: Path, inspector: FileInspector) -> None:
    found = verified(inspector, signed("webp", a_signer(tmp_path)))
    assert (found.integrity, found.trust) == (Integrity.INTACT, Trust.UNKNOWN)


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP"])
def test_what_is_no_picture_is_looked_at_without_harm(data: bytes, inspector: FileInspector) -> None:
    found = verified(inspector, data)
    assert found.integrity is not Integrity.INTACT
    assert found.is_machine_made is None


def test_an_unsigned_file_is_told_by_what_it_says_of_itself(inspector: FileInspector) -> None:
    found = verified(inspector, unsigned("jpeg"))
    assert (found.integrity, found.trust, found.is_machine_made) == (Integrity.UNSIGNED, None, True)


# --- certificates ---------------------------------------------------------------------------------------------------


def test_the_local_certificate_is_made_once_for_this_user_only_and_says_what_it_is(tmp_path: Path) -> None:
    first, again = local_identity(tmp_path), local_identity(tmp_path)
    assert first == again
    assert first.is_local
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == dict.fromkeys(
        (CHAIN, KEY, ANCHORS), 0o600
    )
    leaf, root = x509.load_pem_x509_certificates((tmp_path / CHAIN).read_bytes())
    assert LOCAL_LABEL in str(leaf.issuer.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)[0].value)
    leaf.verify_directly_issued_by(root)


def test_pictures_signed_before_a_new_certificate_stay_trusted(tmp_path: Path) -> None:
    old = signed("png", a_signer(tmp_path))
    (tmp_path / CHAIN).unlink()
    new = signed("png", a_signer(tmp_path))
    inspector = FileInspector(tmp_path / ANCHORS)
    assert [verified(inspector, data).trust for data in (old, new)] == [Trust.INSTALLATION] * 2


def test_a_damaged_certificate_is_named(tmp_path: Path) -> None:
    local_identity(tmp_path)
    (tmp_path / CHAIN).write_text("rubbish")
    with pytest.raises(Unavailable, match=r"signing-chain\.pem"):
        local_identity(tmp_path)


@pytest.mark.parametrize(("kind", "algorithm"), [("ed25519", "ed25519"), ("p256", "es256"), ("p384", "es384")])
@pytest.mark.parametrize("by_command", [False, True])
def test_an_operators_certificate_signs_with_its_key_or_through_a_program(
    tmp_path: Path, kind: str, algorithm: str, by_command: bool
) -> None:
    chain, key, root = a_chain(tmp_path, kind)
    command = (sys.executable, str(Path(__file__).with_name("sign_bytes.py")), str(key)) if by_command else ()
    identity = operator_identity(chain, key=None if by_command else key, command=command, folder=tmp_path)
    assert identity.algorithm == algorithm
    data = signed("jpeg", C2paSigner(identity))
    found = verified(FileInspector(root), data)
    assert (found.integrity, found.trust) == (Integrity.INTACT, Trust.LISTED)
    assert encypher_c2pa.verify(data, "image/jpeg")["integrity"] == "valid"


def test_a_program_that_fails_is_named_and_nothing_is_delivered_unsigned(tmp_path: Path) -> None:
    chain, _, _ = a_chain(tmp_path, "ed25519")
    command = (sys.executable, "-c", "import sys; sys.exit('the vault is sealed')")
    signer = C2paSigner(operator_identity(chain, key=None, command=command, folder=tmp_path))
    with pytest.raises(SigningFailed, match="the vault is sealed"):
        signer.sign(unsigned("png"), "image/png", model="helio-base", stamp=Stamp())


def test_an_operators_mistakes_name_the_setting(tmp_path: Path) -> None:
    chain, key, _ = a_chain(tmp_path, "ed25519")
    other = tmp_path / "other"
    other.mkdir()
    _, other_key, _ = a_chain(other, "p256")
    unfit, unfit_key, _ = a_chain(other, "ed25519", purposes=False)
    (tmp_path / "rubbish.pem").write_text("rubbish")
    cases: list[tuple[Path, Path | None, tuple[str, ...], str]] = [
        (chain, None, (), "provenance.key"),
        (chain, key, ("sign",), "provenance.key"),
        (chain, other_key, (), "provenance.key"),
        (chain, tmp_path / "rubbish.pem", (), "provenance.key"),
        (tmp_path / "nowhere.pem", key, (), "provenance.certificate"),
        (tmp_path / "rubbish.pem", key, (), "provenance.certificate"),
        (unfit, unfit_key, (), "provenance.certificate"),
    ]
    for certificate, private, command, param in cases:
        with pytest.raises(InvalidRequest) as refused:
            operator_identity(certificate, key=private, command=command, folder=tmp_path)
        assert refused.value.param == param


def test_an_identity_that_cannot_sign_is_told_at_once(tmp_path: Path) -> None:
    chain, _, _ = a_chain(tmp_path, "ed25519")
    (tmp_path / "key.pem").write_text("rubbish")
    identity = SigningIdentity(
        chain=chain, key=tmp_path / "key.pem", algorithm="ed25519", anchors=tmp_path / ANCHORS, is_local=False
    )
    with pytest.raises(SigningFailed, match="cannot be signed with"):
        C2paSigner(identity)
