"""Certificates for signing pictures: the operator's, checked, or one that this installation makes for itself.

A certificate of our own proves that two pictures come from the same installation and that neither was changed; who runs
the installation it cannot prove, and its name says so. It lives in the data directory: `signing-chain.pem` and
`signing.key` to sign with, and in `signing-anchors.pem` every root made so far, so that older pictures can still be
verified after a new one was made. The root's own key is thrown away at once: it never signs another signer.
"""

import datetime
import os
import secrets
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from heliograph.delivery.signing import LOCAL_LABEL, SigningIdentity
from heliograph.domain.errors import InvalidRequest, Unavailable

CHAIN, KEY, ANCHORS = "signing-chain.pem", "signing.key", "signing-anchors.pem"
_VALID = datetime.timedelta(days=3650)
_RENEW_BEFORE = datetime.timedelta(days=90)
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


def local_identity(folder: Path) -> SigningIdentity:
    """This installation's own certificate in `folder`, made if there is none or it is about to expire.

    Raises `Unavailable`.
    """
    chain, key, anchors = folder / CHAIN, folder / KEY, folder / ANCHORS
    try:
        if not (chain.exists() and key.exists()) or _expires_soon(chain):
            _make_local(chain, key, anchors)
    except (OSError, ValueError) as error:
        raise Unavailable(
            f"The certificate that signs pictures cannot be read or made: {error}. Restore {chain}, {key.name} and "
            f"{anchors.name}, or delete the first two to get a new certificate.",
            code="certificate_damaged",
        ) from error
    return SigningIdentity(chain=chain, key=key, algorithm="ed25519", anchors=anchors, is_local=True)


def operator_identity(chain: Path, *, key: Path | None, command: tuple[str, ...], folder: Path) -> SigningIdentity:
    """The operator's certificate with its key or command. Raises `InvalidRequest` naming the setting that is wrong."""
    if (key is None) == (not command):
        raise InvalidRequest(
            "provenance.certificate needs either provenance.key or provenance.sign_command to sign with, and not both.",
            param="provenance.key",
        )
    try:
        certificates = x509.load_pem_x509_certificates(chain.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidRequest(
            f"provenance.certificate: {chain} is not a readable PEM file of certificates: {error}",
            param="provenance.certificate",
        ) from error
    leaf = certificates[0]
    problem = _unfit(leaf)
    if problem is not None:
        raise InvalidRequest(
            f"provenance.certificate: the first certificate in {chain} {problem}", param="provenance.certificate"
        )
    if key is not None:
        _check_key(key, leaf)
    return SigningIdentity(
        chain=chain,
        key=key,
        algorithm=algorithm_of(leaf.public_key()),
        anchors=folder / ANCHORS,
        is_local=False,
        command=command,
    )


def algorithm_of(key: CertificatePublicKeyTypes) -> str:
    """C2PA's name for signing with a key. Raises `InvalidRequest` for a kind that C2PA does not take."""
    match key:
        case ed25519.Ed25519PublicKey():
            return "ed25519"
        case ec.EllipticCurvePublicKey() if key.curve.name in _CURVES:
            return _CURVES[key.curve.name]
        case _:
            raise InvalidRequest(
                "provenance.certificate: the key must be Ed25519 or on a NIST curve (P-256, P-384, P-521).",
                param="provenance.certificate",
            )


def _unfit(leaf: x509.Certificate) -> str | None:
    """What C2PA would refuse about the certificate, None when it is fit to sign."""
    now = datetime.datetime.now(datetime.UTC)
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        return f"is valid from {leaf.not_valid_before_utc:%Y-%m-%d} to {leaf.not_valid_after_utc:%Y-%m-%d} only."
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return "must state its key usage (digitalSignature) and extended key usage (such as emailProtection)."
    if not usage.digital_signature:
        return "is not for digital signatures (key usage)."
    if ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in purposes:
        return "is for any purpose; C2PA wants a named one, such as emailProtection."
    return None


def _check_key(key: Path, leaf: x509.Certificate) -> None:
    try:
        private = load_pem_private_key(key.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise InvalidRequest(
            f"provenance.key: {key} is not a readable PEM key without a passphrase: {error}", param="provenance.key"
        ) from error
    if private.public_key() != leaf.public_key():
        raise InvalidRequest(
            "provenance.key does not belong to the first certificate of provenance.certificate.",
            param="provenance.key",
        )


def _expires_soon(chain: Path) -> bool:
    leaf = x509.load_pem_x509_certificates(chain.read_bytes())[0]
    return leaf.not_valid_after_utc - datetime.datetime.now(datetime.UTC) < _RENEW_BEFORE


def _make_local(chain: Path, key: Path, anchors: Path) -> None:
    """A root and a signer under it. The key is for this user only; the root joins those of earlier signers."""
    organisation = f"Heliograph installation {secrets.token_hex(4)} ({LOCAL_LABEL})"
    root_key, leaf_key = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    root_name, leaf_name = (_name(organisation, each) for each in ("Heliograph local root", "Heliograph local signer"))
    root = (
        _builder(root_name, root_name, root_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_root=True), critical=True)
        .sign(root_key, None)
    )
    leaf = (
        _builder(leaf_name, root_name, leaf_key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_root=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .sign(root_key, None)
    )
    root_pem = root.public_bytes(Encoding.PEM)
    earlier = anchors.read_bytes() if anchors.exists() else b""
    _write(anchors, earlier + root_pem)
    _write(key, leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    _write(chain, leaf.public_bytes(Encoding.PEM) + root_pem)


def _name(organisation: str, common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _builder(subject: x509.Name, issuer: x509.Name, key: ed25519.Ed25519PublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # for clocks that are behind
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, is_root: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_root,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_root,
        crl_sign=is_root,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, for this user only."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    draft.rename(path)
