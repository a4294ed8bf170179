"""What each write is in SQL: pure, so the two databases differ only in how they carry statements out.

A write never reads first. What it depends on (a posting that is there already, a message that was dropped meanwhile)
is a condition of the statement itself, so a whole transaction can be sent in one go.
"""

from typing import assert_never

from heliograph.domain.ids import JobId
from heliograph.domain.webhooks import MessageState
from heliograph.storage import case_rows, keeping_queries, keeping_rows, queries, rows
from heliograph.storage.case_writes import CaseWrite, ForgetCases, MoveCase, OpenCase, SetAvailability
from heliograph.storage.keeping import (
    EndDeletion,
    EraseOutput,
    HoldOutput,
    KeepingWrite,
    MoveOutput,
    PutRegeneration,
    StarOutput,
)
from heliograph.storage.postings import postings
from heliograph.storage.store import (
    DropJob,
    DropWebhookEndpoint,
    Forget,
    ForgetWebhooks,
    IdempotencyRecord,
    MoveWebhookMessage,
    PostLedger,
    PutApiKey,
    PutAttempt,
    PutIdempotency,
    PutJob,
    PutOutput,
    PutRefusal,
    PutVariant,
    PutWebhookEndpoint,
    PutWebhookMessage,
    ReplayWebhooks,
    TakeBack,
    WebhookWrite,
    Write,
)

Statement = tuple[str, rows.Parameters]
"""One of `queries.py` and its named parameters."""


def statements_of(write: Write) -> list[Statement]:
    """The statements to run, in order. A posting that is none is our bug: `AssertionError`."""
    match write:
        case PutJob(job=job):
            return [(queries.PUT_JOB, rows.row_of_job(job))]
        case PutAttempt(attempt=attempt):
            return [(queries.PUT_ATTEMPT, rows.row_of_attempt(attempt))]
        case PutOutput(output=output):
            return [
                (queries.PUT_OUTPUT, rows.row_of_output(output)),
                (keeping_queries.PUT_KEEPING, keeping_rows.row_of_new_keeping(output)),
            ]
        case PutVariant(variant=variant):
            return [(queries.PUT_VARIANT, rows.row_of_variant(variant))]
        case PostLedger(lines=lines):
            return [
                (queries.post_ledger(len(posting)), rows.row_of_posting(posting))
                for posting in postings(lines).values()
            ]
        case PutIdempotency(record=record):
            return [(queries.PUT_IDEMPOTENCY, rows.row_of_idempotency(record))]
        case PutApiKey(key=key):
            return [(queries.PUT_API_KEY, rows.row_of_api_key(key))]
        case PutRefusal(refusal=refusal):
            return [(queries.PUT_REFUSAL, rows.row_of_refusal(refusal))]
        case Forget(before_s=before_s):
            before: rows.Parameters = {"before_s": before_s}
            return [(queries.FORGET_IDEMPOTENCY, before), (queries.FORGET_REFUSALS, before)]
        case DropJob(job_id=job_id):
            named: rows.Parameters = {"job_id": job_id}
            return [
                (queries.DROP_TRIES_OF_JOB, named),
                (queries.DROP_MESSAGES_OF_JOB, named),
                (queries.DROP_ATTEMPTS_OF_JOB, named),
                (queries.DROP_VARIANTS_OF_JOB, named),
                (queries.DROP_OUTPUTS_OF_JOB, named),
                (keeping_queries.DROP_KEEPINGS_OF_JOB, named),
                (keeping_queries.DROP_REGENERATION, named),
                (queries.DROP_JOB, named),
            ]
        case TakeBack(job_id=job_id, records=records):
            keys = [(queries.TAKE_BACK_IDEMPOTENCY, _key_of(record, job_id)) for record in records]
            named = {"job_id": job_id}
            return [
                *keys,
                (queries.TAKE_BACK_MESSAGES, named),
                (queries.TAKE_BACK_CASE_ACTIONS, named),
                (queries.TAKE_BACK_CASES, named),
                (queries.TAKE_BACK_JOB, named),
            ]
        case OpenCase() | MoveCase() | SetAvailability() | ForgetCases():
            return _case_statements(write)
        case StarOutput() | HoldOutput() | MoveOutput() | EraseOutput() | EndDeletion() | PutRegeneration():
            return _keeping_statements(write)
        case _:
            return _webhook_statements(write)


def _keeping_statements(write: KeepingWrite) -> list[Statement]:
    match write:
        case StarOutput(output_id=output_id, at_s=at_s):
            return [(keeping_queries.STAR_OUTPUT, {"output_id": output_id, "at_s": at_s})]
        case HoldOutput(output_id=output_id, at_s=at_s):
            return [(keeping_queries.HOLD_OUTPUT, {"output_id": output_id, "at_s": at_s})]
        case MoveOutput(output_id=output_id, to=to, at_s=at_s):
            moved: rows.Parameters = {"output_id": output_id, "storage_tier": to.value, "at_s": at_s}
            return [(keeping_queries.MOVE_OUTPUT, moved), (keeping_queries.DROP_VARIANTS_OF_RECIPE, moved)]
        case EraseOutput(deletion=deletion):
            named: rows.Parameters = {"output_id": deletion.output_id, "deletion_id": deletion.deletion_id}
            return [
                (keeping_queries.PUT_DELETION, keeping_rows.row_of_deletion(deletion)),
                (keeping_queries.ERASE_VARIANTS, named),
                (keeping_queries.ERASE_KEEPING, named),
                (keeping_queries.ERASE_OUTPUT, named),
            ]
        case EndDeletion(deletion_id=deletion_id, at_s=at_s):
            return [(keeping_queries.END_DELETION, {"deletion_id": deletion_id, "at_s": at_s})]
        case PutRegeneration(regeneration=regeneration):
            return [(keeping_queries.PUT_REGENERATION, keeping_rows.row_of_regeneration(regeneration))]
        case _:
            assert_never(write)


def _key_of(record: IdempotencyRecord, job_id: JobId) -> rows.Parameters:
    return {"tenant_id": record.tenant_id, "route": record.route, "key": record.key, "job_id": job_id}


def _case_statements(write: CaseWrite) -> list[Statement]:
    match write:
        case OpenCase(case=case, action=action):
            logged = (queries.PUT_CASE_ACTION, case_rows.row_of_case_action(action))
            return [(queries.PUT_CASE, case_rows.row_of_case(case)), logged]
        case MoveCase(case=case, action=action):
            logged = (queries.PUT_CASE_ACTION, case_rows.row_of_case_action(action))
            return [(queries.MOVE_CASE, case_rows.row_of_case(case)), logged]
        case SetAvailability(output_id=output_id, availability=availability):
            return [(queries.SET_AVAILABILITY, {"output_id": output_id, "availability": availability.value})]
        case ForgetCases(before_s=before_s):
            before: rows.Parameters = {"before_s": before_s}
            return [(queries.FORGET_CASE_ACTIONS, before), (queries.FORGET_CASES, before)]
        case _:
            assert_never(write)


def _webhook_statements(write: WebhookWrite) -> list[Statement]:
    match write:
        case PutWebhookEndpoint(endpoint=endpoint):
            return [(queries.PUT_WEBHOOK_ENDPOINT, rows.row_of_webhook_endpoint(endpoint))]
        case DropWebhookEndpoint(endpoint_id=endpoint_id):
            target: rows.Parameters = {"target": endpoint_id}
            return [
                (queries.DROP_WEBHOOK_ENDPOINT, {"endpoint_id": endpoint_id}),
                (queries.DROP_WEBHOOK_TRIES_OF_TARGET, target),
                (queries.DROP_WEBHOOK_MESSAGES_OF_TARGET, target),
            ]
        case PutWebhookMessage(message=message):
            return [(queries.PUT_WEBHOOK_MESSAGE, rows.row_of_webhook_message(message))]
        case MoveWebhookMessage(message=message, tried=tried):
            row = rows.row_of_webhook_message(message)
            statements: list[Statement] = [(queries.MOVE_WEBHOOK_MESSAGE, row)]
            if message.state is MessageState.WAITING:
                statements.append((queries.POSTPONE_WEBHOOK_LANE, row))
            if tried is not None:
                statements.append((queries.PUT_WEBHOOK_TRY, rows.row_of_webhook_try(tried)))
            return statements
        case ReplayWebhooks(tenant_id=tenant_id, target=target_name, since_s=since_s, now_s=now_s):
            replay: rows.Parameters = {
                "tenant_id": tenant_id,
                "target": target_name,
                "since_s": since_s,
                "now_s": now_s,
            }
            return [(queries.REPLAY_WEBHOOK_TARGET, replay)]
        case ForgetWebhooks(before_s=before_s):
            before: rows.Parameters = {"before_s": before_s}
            return [(queries.FORGET_WEBHOOK_TRIES, before), (queries.FORGET_WEBHOOK_MESSAGES, before)]
        case _:
            assert_never(write)
