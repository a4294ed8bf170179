"""Cases and their logs as table rows and back; `rows.py` says how."""

import json
from typing import Any

from heliograph.domain.ids import CaseId, JobId, OutputId, TenantId
from heliograph.domain.moderation import (
    Case,
    CaseAction,
    CaseCount,
    CaseDeed,
    CaseState,
    CaseSubject,
    DeedCount,
    Finding,
)
from heliograph.storage.rows import Parameters, Row

_encode = json.JSONEncoder(separators=(",", ":")).encode


def row_of_case(case: Case) -> Parameters:
    """A row of `moderation_cases`."""
    data = {
        "findings": [(finding.category, finding.score, finding.evidence) for finding in case.findings],
        "prompt": case.prompt,
        "negative_prompt": case.negative_prompt,
        "is_holding": case.is_holding,
    }
    return {
        "case_id": case.case_id,
        "subject": case.subject.value,
        "tenant_id": case.tenant_id,
        "job_id": case.job_id,
        "output_id": case.output_id,
        "state": case.state.value,
        "since_s": case.since_s,
        "opened_at_s": case.opened_at_s,
        "actions": case.actions,
        "data": _encode(data),
    }


def case_of_row(row: Row) -> Case:
    """The case in a row of `moderation_cases`."""
    data: dict[str, Any] = json.loads(row["data"])
    job_id, output_id = row["job_id"], row["output_id"]
    return Case(
        case_id=CaseId(row["case_id"]),
        subject=CaseSubject(row["subject"]),
        tenant_id=TenantId(row["tenant_id"]),
        job_id=None if job_id is None else JobId(job_id),
        output_id=None if output_id is None else OutputId(output_id),
        findings=tuple(
            Finding(category=category, score=score, evidence=tuple(evidence))
            for category, score, evidence, *_ in data["findings"]
        ),
        prompt=data["prompt"],
        negative_prompt=data.get("negative_prompt", ""),
        opened_at_s=row["opened_at_s"],
        since_s=row["since_s"],
        state=CaseState(row["state"]),
        actions=row["actions"],
        is_holding=data.get("is_holding", False),
    )


def row_of_case_action(action: CaseAction) -> Parameters:
    """A row of `moderation_actions`."""
    return {
        "case_id": action.case_id,
        "number": action.number,
        "at_s": action.at_s,
        "actor": action.actor,
        "deed": action.deed.value,
        "reason": action.reason,
    }


def case_action_of_row(row: Row) -> CaseAction:
    """The line in a row of `moderation_actions`."""
    return CaseAction(
        case_id=CaseId(row["case_id"]),
        number=row["number"],
        at_s=row["at_s"],
        actor=row["actor"],
        deed=CaseDeed(row["deed"]),
        reason=row["reason"],
    )


def case_count_of_row(row: Row) -> CaseCount:
    """The count in a row of `queries.CASE_COUNTS`."""
    return CaseCount(state=CaseState(row["state"]), count=row["case_count"], oldest_s=row["oldest_s"])


def deed_count_of_row(row: Row) -> DeedCount:
    """The count in a row of `queries.DEED_COUNTS`."""
    return DeedCount(actor=row["actor"], deed=CaseDeed(row["deed"]), count=row["deed_count"])
