"""Our signatures, checked by three verifiers that others wrote."""

import json

import pytest
from openai import OpenAI
from replicate.webhook import Webhooks, WebhookSigningSecret
from standardwebhooks import Webhook, WebhookVerificationError

from heliograph.webhooks import Signer

SIGNER = Signer(bytes(range(32)))
BODY = b'{"type":"job.completed","data":{"prompt":"\xd7\xa7\xd7\x99\xd7\xa5"}}'


@pytest.fixture
def now_s() -> int:
    import time  # the verifiers look at the clock themselves

    return int(time.time())


def test_the_official_verifiers_accept_a_delivery(now_s: int) -> None:
    secret = SIGNER.secret("we_1", 1)
    headers = SIGNER.headers("we_1", 1, event_id="evt_1", at_s=now_s, body=BODY)
    assert Webhook(secret).verify(BODY, headers) == json.loads(BODY)
    Webhooks.validate(
        headers={name.title(): value for name, value in headers.items()} | headers,
        body=BODY.decode(),
        secret=WebhookSigningSecret(key=secret),
    )
    client = OpenAI(api_key="unused", webhook_secret=secret)
    client.webhooks.verify_signature(BODY, headers)


def test_during_a_rotation_either_secret_verifies_and_no_other(now_s: int) -> None:
    headers = SIGNER.headers("we_1", 3, 2, event_id="evt_1", at_s=now_s, body=BODY)
    for generation in (2, 3):
        Webhook(SIGNER.secret("we_1", generation)).verify(BODY, headers)
    for stranger in (SIGNER.secret("we_1", 1), SIGNER.secret("we_2", 3), Signer(bytes(32)).secret("we_1", 3)):
        with pytest.raises(WebhookVerificationError):
            Webhook(stranger).verify(BODY, headers)


def test_another_body_id_or_time_does_not_verify(now_s: int) -> None:
    headers = SIGNER.headers("we_1", 1, event_id="evt_1", at_s=now_s, body=BODY)
    verifier = Webhook(SIGNER.secret("we_1", 1))
    for changed in ({"webhook-id": "evt_2"}, {"webhook-timestamp": str(now_s + 1)}):
        with pytest.raises(WebhookVerificationError):
            verifier.verify(BODY, headers | changed)
    with pytest.raises(WebhookVerificationError):
        verifier.verify(BODY + b" ", headers)


def test_the_key_is_not_shown() -> None:
    assert "1" not in repr(SIGNER)
