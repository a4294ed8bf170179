"""What the edge checks by itself, checked as it would."""

import base64
import hashlib
import json

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from heliograph.delivery.edge_signatures import cloudfront_signer, nginx_signer

PATH, EXPIRES_AT_S = "/v1/outputs/out_1", 1_790_000_000


def test_nginx_is_given_what_its_module_computes() -> None:
    sign = nginx_signer("hush")
    digest = hashlib.md5(b"1790000000/v1/outputs/out_1 original hush", usedforsecurity=False).digest()
    expected = base64.b64encode(digest).decode().replace("+", "-").replace("/", "_").replace("=", "")
    assert sign(PATH, "original", EXPIRES_AT_S) == {"md5": expected}
    others = [
        sign(PATH, "thumbnail", EXPIRES_AT_S),
        sign(PATH + "2", "original", EXPIRES_AT_S),
        sign(PATH, "original", EXPIRES_AT_S + 1),
        nginx_signer("hush2")(PATH, "original", EXPIRES_AT_S),
    ]
    assert {"md5": expected} not in others


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def decoded(text: str) -> bytes:
    return base64.b64decode(text.replace("-", "+").replace("_", "=").replace("~", "/"))


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_cloudfront_is_given_a_signed_policy(kind: str) -> None:
    key = rsa.generate_private_key(65_537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    query = cloudfront_signer("https://img.example.com", "K123", pem(key))(PATH, "original", EXPIRES_AT_S)
    policy = decoded(query["Policy"])
    assert json.loads(policy) == {
        "Statement": [
            {
                "Resource": "https://img.example.com/v1/outputs/out_1*",
                "Condition": {"DateLessThan": {"AWS:EpochTime": EXPIRES_AT_S}},
            }
        ]
    }
    assert query["Key-Pair-Id"] == "K123"

    def verify(data: bytes) -> None:
        if isinstance(key, rsa.RSAPrivateKey):
            key.public_key().verify(decoded(query["Signature"]), data, PKCS1v15(), hashes.SHA1())
        else:
            key.public_key().verify(decoded(query["Signature"]), data, ec.ECDSA(hashes.SHA1()))

    verify(policy)
    with pytest.raises(InvalidSignature):
        verify(policy.replace(b"out_1", b"out_2"))
    assert not set("+=/") & set("".join(query.values()))


def test_a_thumbnail_s_policy_does_not_open_the_picture() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    query = cloudfront_signer("https://img.example.com", "K123", pem(key))(PATH, "thumbnail", EXPIRES_AT_S)
    resource = json.loads(decoded(query["Policy"]))["Statement"][0]["Resource"]
    assert resource == "https://img.example.com/v1/outputs/out_1?variant=thumbnail*"


def test_other_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="RSA"):
        cloudfront_signer("https://x", "K", pem(ed25519.Ed25519PrivateKey.generate()))
