from dataclasses import replace

import pytest

from heliograph.domain.accounts import LOCAL_CALLER
from heliograph.domain.errors import AuthenticationError
from heliograph.domain.ids import TenantId
from heliograph.domain.tiers import Tier
from heliograph.gateway.keys import KeyRing, mint

SECRET, KEY = mint(entropy=bytes(range(32)), tenant_id=TenantId("acme"), tier=Tier.PRO, name="ci", now_s=5.0)


def test_a_minted_secret_is_long_url_safe_and_not_kept() -> None:
    assert len(SECRET) == len("hg_") + 43
    assert SECRET.removeprefix("hg_").replace("-", "").replace("_", "").isalnum()
    assert SECRET.startswith(KEY.hint)
    assert SECRET[len(KEY.hint) :] not in repr(KEY)


def test_a_key_speaks_for_its_tenant() -> None:
    caller = KeyRing([KEY]).caller(f"Bearer {SECRET}")
    assert (caller.tenant_id, caller.tier) == ("acme", Tier.PRO)


def test_without_any_key_everybody_is_local() -> None:
    assert KeyRing().caller(None) == LOCAL_CALLER
    assert KeyRing().caller("Bearer anything") == LOCAL_CALLER


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "missing_api_key"),
        ("", "missing_api_key"),
        (f"Basic {SECRET}", "invalid_api_key"),
        ("Bearer", "invalid_api_key"),
        (f"Bearer {SECRET[:-1]}", "invalid_api_key"),
        (f"Bearer {KEY.secret_sha256}", "invalid_api_key"),
    ],
)
def test_what_is_not_a_known_key_is_refused(header: str | None, code: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        KeyRing([KEY]).caller(header)
    assert caught.value.code == code


def test_the_scheme_may_be_written_in_any_case() -> None:
    assert KeyRing([KEY]).caller(f"bearer  {SECRET}").tenant_id == "acme"


def test_revoking_the_last_key_shuts_it_out_and_does_not_open_the_door() -> None:
    ring = KeyRing([KEY])
    ring.replace([replace(KEY, revoked_at_s=9.0)])
    assert not ring.is_open
    with pytest.raises(AuthenticationError):
        ring.caller(f"Bearer {SECRET}")


def test_a_new_key_shuts_an_open_door_at_once() -> None:
    ring = KeyRing()
    ring.replace([KEY])
    with pytest.raises(AuthenticationError):
        ring.caller(None)
