"""Accounts and prices: what a tenant may still order and what it would cost; credits and refunds by the operator."""

import re
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from heliograph.account_desk import Posted
from heliograph.billing.accounts import Standing
from heliograph.billing.costs import By, report_json
from heliograph.domain.errors import InvalidRequest
from heliograph.domain.ids import JobId, TenantId
from heliograph.domain.money import Micros
from heliograph.gateway import openapi
from heliograph.gateway.admin import check_operator_key
from heliograph.gateway.context import Context
from heliograph.gateway.json_body import read_json
from heliograph.gateway.submissions import read_submission, refuse_unknown
from heliograph.gateway.wire import to_json
from heliograph.prompts.values import whole_number
from heliograph.service import Priced

MICROS_MAX = 10**12
EPOCH_S_MAX = 1e11
_CREDIT_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
_TENANT = re.compile(r"[^\s/]{1,128}")


def accounts_router(context: Context) -> APIRouter:
    """`/v1/account` and `/v1/prices` for tenants, the rest for the operator."""
    router = APIRouter(tags=["Accounts"], default_response_class=Response)
    desk = context.accounts

    def only_operator(request: Request) -> None:
        check_operator_key(request.headers.get("authorization"), context.operator_key)

    @router.get("/v1/account", **openapi.ACCOUNT)
    async def account(request: Request) -> Response:
        return _json(account_json(await desk.standing(context.caller(request).tenant_id)))

    @router.post("/v1/prices", **openapi.PRICE)
    async def price(request: Request) -> Response:
        caller = context.caller(request)
        submission = await read_submission(request, desk=context.desk, pictures_max=context.settings.pictures_max)
        return _json(price_json(context.service.price(submission, caller=caller)))

    @router.get("/v1/admin/accounts", **openapi.ACCOUNTS)
    async def accounts(request: Request) -> Response:
        only_operator(request)
        found = await desk.standings(context.keys.tenants())
        return _json({"object": "list", "data": [account_json(each) for each in found]})

    @router.get("/v1/admin/costs", **openapi.COSTS)
    async def costs(
        request: Request,
        by: By = By.MODEL,
        since: Annotated[float, Query(ge=0, le=EPOCH_S_MAX)] = 0.0,
        until: Annotated[float, Query(ge=0, le=EPOCH_S_MAX)] = EPOCH_S_MAX,
    ) -> Response:
        only_operator(request)
        until_s = min(until, context.clock())
        return _json({"object": "costs", **report_json(await desk.costs(by, since_s=since, until_s=until_s))})

    @router.post("/v1/admin/accounts/{tenant}/credits", **openapi.CREDIT)
    async def credit(request: Request, tenant: str) -> Response:
        only_operator(request)
        fields = (await read_json(request)).fields
        credit_id, amount = _credit(fields)
        if not _TENANT.fullmatch(tenant):
            raise InvalidRequest("The tenant's name may not have blanks or slashes.", param="tenant")
        return _json(posted_json(await desk.credit(TenantId(tenant), amount, credit_id=credit_id)))

    @router.post("/v1/admin/jobs/{job_id}/refund", **openapi.REFUND)
    async def refund(request: Request, job_id: str) -> Response:
        only_operator(request)
        return _json(posted_json(await desk.refund(JobId(job_id))))

    return router


def account_json(standing: Standing) -> dict[str, object]:
    """An account as the API shows it."""
    plan = standing.plan
    pictures, spent = standing.pictures + standing.pictures_held, standing.charged + standing.held
    limits = [] if plan.hard_micros is None else [plan.hard_micros - spent]
    if plan.is_prepaid:
        limits.append(standing.balance - standing.held)
    return {
        "object": "account",
        "tenant": standing.tenant_id,
        "plan": {
            "name": plan.name,
            "pictures_per_month": plan.pictures_max,
            "soft_limit_micros": plan.soft_micros,
            "hard_limit_micros": plan.hard_micros,
            "prepaid": plan.is_prepaid,
        },
        "month": standing.month,
        "resets_at": standing.resets_at_s,
        "charged_micros": standing.charged,
        "held_micros": standing.held,
        "pictures": standing.pictures,
        "pictures_held": standing.pictures_held,
        "pictures_left": None if plan.pictures_max is None else max(plan.pictures_max - pictures, 0),
        "micros_left": max(min(limits), 0) if limits else None,
        "balance_micros": standing.balance,
        "past_soft_limit": standing.is_past_soft_limit,
    }


def price_json(priced: Priced) -> dict[str, object]:
    """A price as the API shows it."""
    return {
        "object": "price",
        "model": priced.request.model_id,
        "images": priced.request.image_count,
        "expected_micros": priced.quote.expected,
        "low_micros": priced.quote.low,
        "high_micros": priced.quote.high,
        "may_order": priced.why_not is None,
        "why_not": priced.why_not,
    }


def posted_json(posted: Posted) -> dict[str, object]:
    """What was posted, and the account afterwards."""
    return {"object": "posting", "micros": posted.amount, "account": account_json(posted.standing)}


def _credit(fields: Mapping[str, object]) -> tuple[str, Micros]:
    refuse_unknown(fields, ("id", "micros"))
    credit_id = fields.get("id")
    if not isinstance(credit_id, str) or not _CREDIT_ID.fullmatch(credit_id):
        raise InvalidRequest(
            "id must be 1 to 128 letters, digits, dots, dashes and underscores; the same id is posted once.",
            param="id",
            code="invalid_id",
        )
    amount = whole_number(fields.get("micros"), param="micros", minimum=-MICROS_MAX, maximum=MICROS_MAX)
    if amount == 0:
        raise InvalidRequest("micros must not be 0: a credit of nothing is none.", param="micros")
    return credit_id, Micros(amount)


def _json(body: Mapping[str, object]) -> Response:
    return Response(to_json(body), media_type="application/json")
