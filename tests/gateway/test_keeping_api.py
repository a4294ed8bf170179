"""Stars, deletions and holds over HTTP; what they mean is tested with the keeper."""

from collections.abc import AsyncIterator

import httpx
import pytest

from heliograph.delivery.retention import RetentionPolicy, RetentionRule
from heliograph.domain.ids import TenantId
from heliograph.domain.job import JobState
from heliograph.domain.tiers import Tier
from heliograph.gateway.keys import KeyRing, mint
from heliograph.storage.store import PutJob, PutOutput
from tests.gateway.conftest import OPERATOR_KEY, Gateway
from tests.gateway.fake_service import NOW_S
from tests.storage.stored_samples import a_job, an_output

ADA, ADA_KEY = mint(entropy=bytes(32), tenant_id=TenantId("ada"), tier=Tier.PRO, name="a", now_s=0.0)
BOB, BOB_KEY = mint(entropy=bytes([1]) * 32, tenant_id=TenantId("bob"), tier=Tier.PRO, name="b", now_s=0.0)
AS_ADA, AS_BOB = {"Authorization": f"Bearer {ADA}"}, {"Authorization": f"Bearer {BOB}"}
AS_OPERATOR = {"Authorization": f"Bearer {OPERATOR_KEY}"}
PATH, ADMIN_PATH = "/v1/outputs/job-1-0", "/v1/admin/outputs/job-1-0"


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A picture of ada's whose plan keeps it for an hour."""
    gateway = Gateway(
        keys=KeyRing([ADA_KEY, BOB_KEY]),
        retention=RetentionPolicy(plans={Tier.PRO: RetentionRule(delete_after_s=3600.0)}),
    )
    job = a_job(1, state=JobState.COMPLETED)
    await gateway.store.commit([PutJob(job=job), PutOutput(output=an_output(job))])
    async with gateway.client() as client:
        yield client


async def test_how_a_picture_is_kept(client: httpx.AsyncClient) -> None:
    kept = (await client.get(f"{PATH}/keeping", headers=AS_ADA)).json()
    assert (kept["id"], kept["storage_tier"], kept["starred_at"], kept["held_at"]) == ("job-1-0", "hot", None, None)
    assert kept["next"] == {"action": "delete", "at": kept["created_at"] + 3600.0}
    starred = (await client.put(f"{PATH}/star", headers=AS_ADA)).json()
    assert (starred["starred_at"], starred["next"]) == (NOW_S, None)
    assert (await client.put(f"{PATH}/star", headers=AS_ADA)).json() == starred
    assert (await client.delete(f"{PATH}/star", headers=AS_ADA)).json() == kept


async def test_a_deletion_leaves_its_record(client: httpx.AsyncClient) -> None:
    done = await client.delete(PATH, headers=AS_ADA)
    record = done.json()
    assert done.status_code == 200
    assert (record["id"], record["deleted"], record["reason"], record["gone_at"]) == ("job-1-0", True, "tenant", NOW_S)
    assert (await client.get("/v1/deletions", headers=AS_ADA)).json() == {"object": "list", "data": [record]}
    assert (await client.get(f"/v1/deletions?before={record['at']}", headers=AS_ADA)).json()["data"] == []
    assert (await client.get("/v1/deletions", headers=AS_BOB)).json()["data"] == []
    assert (await client.delete(PATH, headers=AS_ADA)).json()["error"]["code"] == "output_not_found"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/keeping"), ("PUT", "/star"), ("DELETE", "/star"), ("DELETE", "")]
)
async def test_another_tenant_s_picture_is_not_there(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, PATH + path, headers=AS_BOB)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "output_not_found")
    assert (await client.request(method, PATH + path)).status_code == 401
    assert (await client.get(f"{PATH}/keeping", headers=AS_ADA)).json()["starred_at"] is None


async def test_a_hold_is_the_operator_s(client: httpx.AsyncClient) -> None:
    assert (await client.put(f"{ADMIN_PATH}/hold", headers=AS_OPERATOR)).json()["held_at"] == NOW_S
    for path, headers in ((PATH, AS_ADA), (ADMIN_PATH, AS_OPERATOR)):
        refused = await client.delete(path, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "output_held")
    assert (await client.delete(f"{ADMIN_PATH}/hold", headers=AS_OPERATOR)).json()["held_at"] is None
    assert (await client.delete(ADMIN_PATH, headers=AS_OPERATOR)).json()["reason"] == "operator"


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "before=-1", "before=nan", "before=inf"])
async def test_mistakes_name_the_parameter(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"/v1/deletions?{query}", headers=AS_ADA)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, query.partition("=")[0])
