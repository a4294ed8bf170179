"""Every byte that is sent has an owner."""

from collections import Counter

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from heliograph.billing.prices import PriceBook
from heliograph.billing.usage_meter import UsageMeter
from heliograph.domain.billing_records import NO_TENANT, Component
from heliograph.domain.ids import TenantId
from heliograph.domain.keeping import Holding, StorageTier
from heliograph.domain.tiers import Tier
from heliograph.gateway.egress import ELSEWHERE_BYTES, TENANT, EgressMeter
from heliograph.gateway.keys import KeyRing, mint
from heliograph.storage_meter import add_held

SECRET, KEY = mint(entropy=bytes(32), tenant_id=TenantId("ada"), tier=Tier.PRO, name="a", now_s=0.0)


async def _answer(request: Request) -> Response:
    async def parts():
        yield b"x" * 300
        yield b"y" * 700

    match request.url.path:
        case "/stream":
            return StreamingResponse(parts())
        case "/link":
            setattr(request.state, TENANT, "bob")
            return Response(b"z" * 50)
        case "/elsewhere":
            setattr(request.state, TENANT, "bob")
            setattr(request.state, ELSEWHERE_BYTES, 9_000)
            return Response(status_code=302)
        case _:
            return Response(b"w" * 10)


async def test_answers_count_for_the_key_s_tenant_or_the_link_s() -> None:
    sent: Counter[str] = Counter()
    app = Starlette(
        routes=[Route("/{name}", _answer, methods=["GET", "HEAD"])],
    )
    app.add_middleware(EgressMeter, keys=KeyRing([KEY]), count=lambda tenant, count: sent.update({tenant: count}))
    own = {"Authorization": f"Bearer {SECRET}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://here") as client:
        await client.get("/stream", headers=own)
        await client.get("/short", headers=own)
        await client.get("/link")
        await client.get("/elsewhere")
        await client.get("/short")
        await client.head("/short", headers=own)
    assert sent == {"ada": 1_010, "bob": 9_050, NO_TENANT: 10}


def test_byte_hours_are_held_bytes_times_hours_by_tenant_and_plan() -> None:
    usage = UsageMeter(PriceBook())

    def holding(tenant: str, plan: Tier, size_bytes: int, age: int) -> Holding:
        return Holding(
            tenant_id=TenantId(tenant),
            plan=plan,
            storage_tier=StorageTier.HOT,
            age_days_min=age,
            is_kept=False,
            outputs=1,
            size_bytes=size_bytes,
        )

    tb = 10**12
    add_held(
        usage,
        [holding("ada", Tier.PRO, tb, 0), holding("ada", Tier.PRO, tb, 7), holding("bob", Tier.FREE, 3 * tb, 0)],
        hours=0.5,
    )
    lines = usage.settle(posting_id="p", now_s=1.0)
    assert sum(line.amount_micros for line in lines) == 0
    assert {(line.tenant_id, line.tier, line.component, line.quantity) for line in lines} == {
        ("ada", Tier.PRO, Component.STORAGE.value, tb),
        ("bob", Tier.FREE, Component.STORAGE.value, 3 * tb // 2),
    }
