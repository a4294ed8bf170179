"""What every store promises, checked on each."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from heliograph.domain.billing_records import NO_JOB, NO_TENANT, Account, LedgerLine
from heliograph.domain.ids import CaseId, EndpointId, JobId, MessageId, ModelId, OutputId, TenantId
from heliograph.domain.job import Job, JobState, Moment
from heliograph.domain.keeping import DeletionReason, Holding, Keeping, StorageTier
from heliograph.domain.moderation import Case, CaseCount, CaseDeed, CaseState, DeedCount, opening
from heliograph.domain.money import Micros
from heliograph.domain.pictures import Alignment, Availability, Decision, Output, Safety
from heliograph.domain.tiers import Tier
from heliograph.domain.webhooks import MessageState, WebhookEvent
from heliograph.storage import Store, StoredJob
from heliograph.storage.case_writes import ForgetCases, SetAvailability
from heliograph.storage.keeping import (
    EndDeletion,
    EraseOutput,
    HoldOutput,
    MoveOutput,
    PutRegeneration,
    Regeneration,
    StarOutput,
)
from heliograph.storage.memory import MemoryStore
from heliograph.storage.postgres import PostgresStore
from heliograph.storage.sqlite import SqliteStore
from heliograph.storage.store import (
    DropJob,
    DropWebhookEndpoint,
    Forget,
    ForgetWebhooks,
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
    Write,
)
from tests.builders import an_api_key
from tests.storage.stored_samples import (
    a_case,
    a_deletion,
    a_job,
    a_message,
    a_posting,
    a_record,
    a_refusal,
    a_try,
    a_variant,
    an_attempt,
    an_endpoint,
    an_output,
    decided,
    opened,
)

ADA, BOB = TenantId("ada"), TenantId("bob")


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    store: Store
    match request.param:
        case "memory":
            store = MemoryStore()
        case "sqlite":
            store = await SqliteStore.open(request.getfixturevalue("database"))
        case _:
            store = await PostgresStore.open(request.getfixturevalue("postgres_database"), claims=True)
    yield store
    await store.close()


def sequences(jobs: tuple[StoredJob, ...]) -> list[int]:
    return [stored.job.sequence for stored in jobs]


async def put(store: Store, *jobs: Job) -> None:
    await store.commit([PutJob(job=job) for job in jobs])


async def test_an_empty_store_has_nothing(store: Store) -> None:
    assert await store.job(JobId("job-1")) is None
    assert await store.jobs(ADA, limit=10) == ()
    assert await store.open_jobs() == ()
    assert await store.last_sequence() == 0
    assert await store.output(OutputId("job-1-0")) is None
    assert await store.attempts(JobId("job-1")) == ()
    assert await store.ledger(JobId("job-1")) == ()
    assert await store.idempotency(ADA, "/v1/jobs", "k1") is None
    assert await store.api_keys() == ()


async def test_committing_nothing_is_fine(store: Store) -> None:
    await store.commit([])
    assert await store.last_sequence() == 0


async def test_a_job_comes_back_with_its_pictures_and_its_cost(store: Store) -> None:
    job = a_job(1, state=JobState.COMPLETED, prompt='قطة 🐈 "quoted" \x00\n')
    second, first = an_output(job, 1), an_output(job, 0)
    await store.commit([PutJob(job=job), PutOutput(output=second), PutOutput(output=first), a_posting(job, "p1", 700)])
    expected = StoredJob(job=job, outputs=(first, second), cost_micros=700)
    assert await store.job(job.job_id) == expected
    assert await store.jobs(ADA, limit=1) == (expected,)
    assert await store.output(first.output_id) == first


async def test_putting_a_job_again_replaces_it(store: Store) -> None:
    job = a_job(1)
    await put(store, job, a_job(2))
    moved = job.moved(JobState.DISPATCHED, now_s=1005.0)
    await put(store, replace(moved, attempt=1, failures=2, reseeds=1, not_before_s=9.5))
    stored = await store.job(job.job_id)
    assert stored is not None
    assert stored.job == replace(moved, attempt=1, failures=2, reseeds=1, not_before_s=9.5)
    assert sequences(await store.jobs(ADA, limit=10)) == [2, 1]


async def test_jobs_are_paged_newest_first(store: Store) -> None:
    await put(store, *(a_job(sequence) for sequence in (3, 1, 5, 2, 4)))
    assert sequences(await store.jobs(ADA, limit=2)) == [5, 4]
    assert sequences(await store.jobs(ADA, limit=2, before_sequence=4)) == [3, 2]
    assert sequences(await store.jobs(ADA, limit=2, before_sequence=2)) == [1]
    assert await store.jobs(ADA, limit=2, before_sequence=1) == ()


async def test_tenants_do_not_see_each_other(store: Store) -> None:
    hers, his = a_job(1, tenant="ada"), a_job(2, tenant="bob")
    newer = a_job(3, tenant="ada")
    await put(store, hers, his, newer)
    await store.commit([PutOutput(output=an_output(job)) for job in (hers, his, newer)])
    await store.commit([PutIdempotency(record=a_record(hers))])
    assert [(stored.job, len(stored.outputs)) for stored in await store.jobs(ADA, limit=10)] == [(newer, 1), (hers, 1)]
    assert [(stored.job, len(stored.outputs)) for stored in await store.jobs(BOB, limit=10)] == [(his, 1)]
    assert await store.idempotency(BOB, "/v1/jobs", "k1") is None


async def test_open_jobs_are_the_unfinished_ones_in_order_of_submission(store: Store) -> None:
    states = list(JobState)
    jobs = [a_job(len(states) - index, state=state) for index, state in enumerate(states)]
    await put(store, *jobs)
    expected = sorted((job for job in jobs if not job.state.is_terminal), key=lambda job: job.sequence)
    assert await store.open_jobs() == tuple(expected)
    assert await store.last_sequence() == len(states)


async def test_attempts_come_in_order_and_the_first_write_of_each_counts(store: Store) -> None:
    job = a_job(1)
    first, second = an_attempt(job, 1), an_attempt(job, 2)
    await store.commit([PutJob(job=job), PutAttempt(attempt=second), PutAttempt(attempt=first)])
    await store.commit([PutAttempt(attempt=an_attempt(job, 1, gpu_s=99.0))])
    assert await store.attempts(job.job_id) == (first, second)


async def test_the_first_write_of_an_output_counts(store: Store) -> None:
    job = a_job(1)
    output = an_output(job)
    await store.commit([PutJob(job=job), PutOutput(output=output)])
    await store.commit([PutOutput(output=an_output(job, sha256="b" * 64))])
    stored = await store.job(job.job_id)
    assert stored is not None
    assert stored.outputs == (output,)
    assert await store.output(output.output_id) == output


@pytest.mark.parametrize(
    "alignment", [None, Alignment(score=0.0), Alignment(score=0.25, missing=('a "mill"', "קיץ")), Alignment(score=1.0)]
)
async def test_how_well_a_picture_fits_its_prompt_is_kept(store: Store, alignment: Alignment | None) -> None:
    job = a_job(1)
    output = an_output(job, alignment=alignment)
    await store.commit([PutJob(job=job), PutOutput(output=output)])
    stored = await store.output(output.output_id)
    assert stored == output
    (listed,) = await store.jobs(ADA, limit=1)
    assert listed.outputs == (output,)


async def test_a_posting_is_written_once_and_adds_to_the_cost(store: Store) -> None:
    job = a_job(1)
    charge, refund = a_posting(job, "p2", 700), a_posting(job, "p1", -300)
    await store.commit([PutJob(job=job), charge])
    await store.commit([refund])
    longer = a_posting(job, "p2", 5)
    extra = a_posting(job, "p2", 0).lines
    renumbered = tuple(replace(line, line=line.line + 2) for line in extra)
    await store.commit([replace(longer, lines=(*longer.lines, *renumbered))])
    assert await store.ledger(job.job_id) == (*charge.lines, *refund.lines)
    stored = await store.job(job.job_id)
    assert stored is not None
    assert stored.cost_micros == 400


async def test_the_ledger_adds_up_by_whom_and_what_a_line_is_about(store: Store) -> None:
    def posting(name: str, amount: int, at_s: float, model: str | None, gpu: str = "") -> PostLedger:
        sides = ((Account.FLEET, -amount), (Account.GPU_COST, amount))
        lines = tuple(
            LedgerLine(
                posting_id=name,
                line=number,
                job_id=NO_JOB,
                tenant_id=NO_TENANT,
                account=account,
                component="gpu_idle",
                amount_micros=Micros(micros),
                at_s=at_s,
                model_id=model and ModelId(model),
                gpu=gpu,
                quantity=10 * amount,
            )
            for number, (account, micros) in enumerate(sides)
        )
        return PostLedger(lines=lines)

    await store.commit(
        [
            posting("a", 5, 10.0, "flux", "H100:spot"),
            posting("b", 7, 20.0, "flux", "H100:spot"),
            posting("c", 1, 20.0, None),
            posting("d", 100, 30.0, "flux", "H100:spot"),
        ]
    )
    totals = await store.ledger_totals(since_s=10.0, until_s=30.0)
    assert {
        (each.account, each.model_id, each.gpu, each.amount_micros, each.quantity, each.lines) for each in totals
    } == {
        (Account.FLEET, "flux", "H100:spot", -12, 120, 2),
        (Account.GPU_COST, "flux", "H100:spot", 12, 120, 2),
        (Account.FLEET, None, "", -1, 10, 1),
        (Account.GPU_COST, None, "", 1, 10, 1),
    }
    assert await store.ledger_balance(Account.GPU_COST, before_s=30.0) == 13
    assert await store.ledger_balance(Account.TENANT, before_s=30.0) == 0


async def test_charges_are_read_in_order_page_by_page(store: Store) -> None:
    def posting(name: str, at_s: float, account: Account) -> PostLedger:
        one, two = (Account.TENANT, account) if account is Account.REVENUE else (Account.FLEET, account)
        return PostLedger(
            lines=tuple(
                LedgerLine(
                    posting_id=name,
                    line=number,
                    job_id=NO_JOB,
                    tenant_id=NO_TENANT,
                    account=side,
                    component="image_generation",
                    amount_micros=Micros(amount),
                    at_s=at_s,
                )
                for number, (side, amount) in enumerate(((one, -3), (two, 3)))
            )
        )

    at = {"b": 10.0, "a": 10.0, "c": 10.0, "later": 20.0, "too late": 30.0}
    await store.commit(
        [*(posting(name, at_s, Account.REVENUE) for name, at_s in at.items()), posting("cost", 10.0, Account.GPU_COST)]
    )
    first = await store.revenue_lines(after=(0.0, ""), until_s=30.0, limit=2)
    assert [line.posting_id for line in first] == ["a", "b"]
    rest = await store.revenue_lines(after=(10.0, "b"), until_s=30.0, limit=9)
    assert [line.posting_id for line in rest] == ["c", "later"]
    assert [line.account for line in await store.posting("a")] == [Account.TENANT, Account.REVENUE]
    assert await store.posting("none") == ()


async def test_several_postings_may_come_in_one_write(store: Store) -> None:
    job = a_job(1)
    one, two = a_posting(job, "p1", 1), a_posting(job, "p2", 2)
    await store.commit([PutJob(job=job), one, replace(one, lines=(*one.lines, *two.lines))])
    assert await store.ledger(job.job_id) == (*one.lines, *two.lines)


async def test_an_idempotency_record_is_replaced(store: Store) -> None:
    job = a_job(1)
    await store.commit([PutIdempotency(record=a_record(job))])
    await store.commit([PutIdempotency(record=a_record(job, fingerprint="0" * 64))])
    assert await store.idempotency(ADA, "/v1/jobs", "k1") == a_record(job, fingerprint="0" * 64)
    assert await store.idempotency(ADA, "/v1/images/generations", "k1") is None


async def test_api_keys_come_oldest_first_and_can_be_revoked(store: Store) -> None:
    await store.commit(
        [
            PutApiKey(key=an_api_key("new", created_at_s=2.0)),
            PutApiKey(key=an_api_key("b", created_at_s=1.0)),
            PutApiKey(key=an_api_key("a", created_at_s=1.0)),
        ]
    )
    await store.commit([PutApiKey(key=an_api_key("b", created_at_s=1.0, revoked_at_s=3.0))])
    assert [(key.key_id, key.revoked_at_s) for key in await store.api_keys()] == [
        ("a", None),
        ("b", 3.0),
        ("new", None),
    ]


async def test_refusals_come_newest_first_and_are_forgotten_with_old_idempotency_keys(store: Store) -> None:
    job = a_job(1)
    old, new = a_refusal("r1"), replace(a_refusal("r2"), at_s=a_refusal().at_s + 100)
    record = a_record(job)
    await store.commit([PutJob(job=job), PutRefusal(refusal=old), PutRefusal(refusal=new)])
    await store.commit([PutIdempotency(record=record)])
    assert await store.refusals(old.tenant_id, limit=5) == (new, old)
    assert await store.refusals(old.tenant_id, limit=1) == (new,)
    assert await store.refusals(TenantId("nobody"), limit=5) == ()

    await store.commit([Forget(before_s=old.at_s + 1)])
    assert await store.refusals(old.tenant_id, limit=5) == (new,)
    await store.commit([Forget(before_s=record.created_at_s)])
    assert await store.idempotency(record.tenant_id, record.route, record.key) == record
    await store.commit([Forget(before_s=record.created_at_s + 1)])
    assert await store.idempotency(record.tenant_id, record.route, record.key) is None
    assert await store.job(job.job_id) is not None


async def test_a_refusal_may_be_put_twice(store: Store) -> None:
    await store.commit([PutRefusal(refusal=a_refusal()), PutRefusal(refusal=a_refusal(category="other"))])


async def test_webhook_endpoints_are_put_replaced_and_dropped_with_their_messages(store: Store) -> None:
    younger, older = an_endpoint("we_2", created_at_s=5.0), an_endpoint("we_1", tenant="bob")
    await store.commit([PutWebhookEndpoint(endpoint=younger), PutWebhookEndpoint(endpoint=older)])
    assert await store.webhook_endpoints() == (older, younger)
    moved = replace(younger, url="https://example.com/new", disabled_at_s=None, disabled_reason=None)
    await store.commit([PutWebhookEndpoint(endpoint=moved)])
    assert await store.webhook_endpoints() == (older, moved)

    kept = a_message("m2", target="we_1")
    await store.commit([PutWebhookMessage(message=a_message("m1", target="we_2")), PutWebhookMessage(message=kept)])
    await store.commit([MoveWebhookMessage(message=a_message("m1", target="we_2"), tried=a_try("m1"))])
    await store.commit([DropWebhookEndpoint(endpoint_id=EndpointId("we_2"))])
    assert await store.webhook_endpoints() == (older,)
    assert await store.webhook_message(MessageId("m1")) is None
    assert await store.webhook_tries(MessageId("m1")) == ()
    assert await store.webhook_message(MessageId("m2")) == kept


async def test_a_webhook_message_is_put_once(store: Store) -> None:
    message = a_message()
    await store.commit([PutWebhookMessage(message=message)])
    await store.commit([PutWebhookMessage(message=replace(message, at_s=99.0, next_at_s=99.0))])
    assert await store.webhook_messages(ADA, limit=9) == (message,)


async def test_what_is_due_is_found_by_target_and_job(store: Store) -> None:
    messages = (
        a_message("m1", job="job-1", next_at_s=30.0),
        a_message("m2", job="job-2", next_at_s=20.0),
        a_message("m3", job="job-2", next_at_s=20.5, event=WebhookEvent.JOB_STARTED),
        a_message("m4", job="job-1", target="https://example.com:8443", next_at_s=5.0),
        replace(a_message("m5", job="job-3", next_at_s=1.0), state=MessageState.DELIVERED),
    )
    await store.commit([PutWebhookMessage(message=message) for message in messages])
    assert sorted(await store.webhook_targets()) == [("https://example.com:8443", 5.0), ("we_1", 20.0)]
    assert await store.webhook_jobs_due("we_1", now_s=25.0, limit=9) == (JobId("job-2"), JobId("job-2"))
    assert await store.webhook_jobs_due("we_1", now_s=30.0, limit=1) == (JobId("job-2"),)
    assert await store.webhook_jobs_due("nobody", now_s=99.0, limit=9) == ()
    assert await store.webhook_lane(JobId("job-2"), "we_1") == messages[1:3]
    assert await store.webhook_lane(JobId("job-3"), "we_1") == ()


async def test_a_try_is_logged_and_holds_back_what_comes_later_in_its_lane(store: Store) -> None:
    first, second = a_message("m1", event=WebhookEvent.JOB_STARTED), a_message("m2")
    elsewhere = a_message("m3", target="we_2")
    await store.commit([PutWebhookMessage(message=message) for message in (first, second, elsewhere)])
    later = replace(first, tries=1, failures=1, next_at_s=70.0, last_error="500")
    await store.commit([MoveWebhookMessage(message=later, tried=a_try("m1"))])
    assert await store.webhook_lane(first.job_id, "we_1") == (later, replace(second, next_at_s=70.0))
    assert await store.webhook_message(elsewhere.message_id) == elsewhere
    done = replace(later, state=MessageState.DELIVERED, tries=2, ended_at_s=71.0, last_error=None)
    await store.commit([MoveWebhookMessage(message=done, tried=a_try("m1", 2, status=None))])
    assert await store.webhook_lane(first.job_id, "we_1") == (replace(second, next_at_s=70.0),)
    assert await store.webhook_tries(first.message_id) == (a_try("m1"), a_try("m1", 2, status=None))


async def test_a_try_of_a_dropped_message_leaves_nothing(store: Store) -> None:
    await store.commit([MoveWebhookMessage(message=a_message("gone"), tried=a_try("gone"))])
    assert await store.webhook_tries(MessageId("gone")) == ()
    assert await store.webhook_message(MessageId("gone")) is None
    assert await store.webhook_messages(ADA, limit=9) == ()


async def test_webhook_messages_are_paged_newest_first_within_their_tenant(store: Store) -> None:
    messages = [a_message(f"m{number}", target=f"we_{number % 2}") for number in range(1, 6)]
    others = a_message("x", tenant="bob", target="we_1")
    await store.commit([PutWebhookMessage(message=message) for message in (*messages, others)])

    async def names(**arguments: object) -> list[str]:
        found = await store.webhook_messages(ADA, **{"limit": 9, **arguments})  # pyright: ignore[reportArgumentType]
        return [message.message_id for message in found]

    assert await names(limit=2) == ["m5", "m4"]
    assert await names(limit=2, before=MessageId("m4")) == ["m3", "m2"]
    assert await names(target="we_1") == ["m5", "m3", "m1"]
    assert await names(target="we_1", before=MessageId("m3")) == ["m1"]
    assert await names(target="nobody") == []


async def test_what_was_not_delivered_is_replayed(store: Store) -> None:
    waiting = replace(a_message("m1"), failures=3, next_at_s=900.0)
    given_up = replace(a_message("m2"), state=MessageState.GIVEN_UP, failures=9, ended_at_s=50.0, last_error="500")
    delivered = replace(a_message("m3"), state=MessageState.DELIVERED, ended_at_s=50.0)
    old = replace(given_up, message_id=MessageId("m4"), at_s=1.0)
    not_hers = replace(given_up, message_id=MessageId("m5"), tenant_id=BOB)
    everything = (waiting, given_up, delivered, old, not_hers)
    await store.commit([PutWebhookMessage(message=message) for message in everything])
    await store.commit([ReplayWebhooks(tenant_id=ADA, target="we_1", since_s=5.0, now_s=100.0)])
    assert [await store.webhook_message(message.message_id) for message in everything] == [
        replace(waiting, failures=0, next_at_s=100.0),
        replace(given_up, state=MessageState.WAITING, failures=0, next_at_s=100.0, ended_at_s=None),
        delivered,
        old,
        not_hers,
    ]


async def test_old_webhook_messages_are_forgotten_with_their_tries(store: Store) -> None:
    old, new = a_message("m1", at_s=1.0), a_message("m2", at_s=2.0)
    await store.commit([PutWebhookMessage(message=message) for message in (old, new)])
    await store.commit([MoveWebhookMessage(message=message, tried=a_try(message.message_id)) for message in (old, new)])
    await store.commit([ForgetWebhooks(before_s=2.0)])
    assert await store.webhook_messages(ADA, limit=9) == (new,)
    assert await store.webhook_tries(old.message_id) == ()
    assert await store.webhook_tries(new.message_id) == (a_try("m2"),)


async def test_an_ended_job_is_dropped_with_everything_but_its_ledger(store: Store) -> None:
    old, kept, waiting = a_job(1, state=JobState.COMPLETED), a_job(2, state=JobState.FAILED), a_job(3)
    for job in (old, kept, waiting):
        await store.commit([PutJob(job=job), PutAttempt(attempt=an_attempt(job)), PutOutput(output=an_output(job))])
        await store.commit(
            [a_posting(job, job.job_id, 7), PutWebhookMessage(message=a_message(f"m-{job.sequence}", job=job.job_id))]
        )
    await store.commit([MoveWebhookMessage(message=a_message("m-1", job=old.job_id), tried=a_try("m-1"))])

    await store.commit([DropJob(job_id=job.job_id) for job in (old, waiting, a_job(404))])
    assert await store.job(old.job_id) is None
    assert await store.output(an_output(old).output_id) is None
    assert await store.attempts(old.job_id) == ()
    assert await store.webhook_message(MessageId("m-1")) is None
    assert await store.webhook_tries(MessageId("m-1")) == ()
    assert len(await store.ledger(old.job_id)) == 2
    assert sequences(await store.jobs(ADA, limit=9)) == [3, 2], "an open job stays"
    for job in (kept, waiting):
        assert await store.attempts(job.job_id) == (an_attempt(job),)
        assert await store.output(an_output(job).output_id) == an_output(job)
        assert await store.webhook_message(MessageId(f"m-{job.sequence}")) is not None


async def test_ended_jobs_come_longest_ended_first(store: Store) -> None:
    ends = {1: 30.0, 2: 10.0, 3: 20.0, 4: 40.0}
    jobs = [
        replace(a_job(sequence, state=JobState.COMPLETED), timeline=(Moment(state=JobState.COMPLETED, at_s=at_s),))
        for sequence, at_s in ends.items()
    ]
    await put(store, *jobs, a_job(5))
    assert await store.ended_jobs(before_s=40.0, limit=9) == (JobId("job-2"), JobId("job-3"), JobId("job-1"))
    assert await store.ended_jobs(before_s=40.0, limit=2) == (JobId("job-2"), JobId("job-3"))
    assert await store.ended_jobs(before_s=10.0, limit=9) == ()


async def test_files_that_outputs_name_are_held(store: Store) -> None:
    job = a_job(1)
    output = replace(an_output(job), blob="aaf.png", thumbnail_blob="bb0.webp")
    await store.commit([PutJob(job=job), PutOutput(output=output)])
    assert await store.held_blobs(["aaf.png", "bb0.webp", "cc.png"]) == {"aaf.png", "bb0.webp"}
    assert await store.held_blobs([]) == frozenset()
    assert await store.named_blobs("aa") == {"aaf.png"}
    assert await store.named_blobs("bb") == {"bb0.webp"}
    assert await store.named_blobs("ab") == frozenset()


async def test_variants_join_their_picture_in_order_of_name_and_the_first_of_a_name_counts(store: Store) -> None:
    job = a_job(1, state=JobState.COMPLETED)
    output, other = an_output(job), an_output(job, 1)
    webp, avif = a_variant(output, "webp", blob="dd2.webp"), a_variant(output, "avif", blob="cc1.avif")
    await store.commit([PutJob(job=job), PutOutput(output=output), PutOutput(output=other)])
    await store.commit([PutVariant(variant=webp)])
    await store.commit([PutVariant(variant=avif), PutVariant(variant=a_variant(output, "webp", blob="late.webp"))])
    whole = replace(output, variants=(avif, webp))
    stored = await store.job(job.job_id)
    assert stored is not None
    assert stored.outputs == (whole, other)
    assert await store.output(output.output_id) == whole
    (listed,) = await store.jobs(ADA, limit=1)
    assert listed.outputs == (whole, other)
    assert await store.held_blobs(["cc1.avif", "dd2.webp", "late.webp"]) == {"cc1.avif", "dd2.webp"}
    assert await store.named_blobs("cc") == {"cc1.avif"}
    found = await store.output_of_blob(["nothing.png", "cc1.avif"])
    assert found is not None
    assert found.output_id == output.output_id
    assert await store.output_of_blob(["late.webp"]) is None


async def test_a_variant_of_a_picture_that_is_gone_is_not_kept(store: Store) -> None:
    job = a_job(1, state=JobState.COMPLETED)
    output = an_output(job)
    await store.commit([PutJob(job=job), PutOutput(output=output), PutVariant(variant=a_variant(output))])
    await store.commit([DropJob(job_id=job.job_id)])
    await store.commit([PutVariant(variant=a_variant(output, "webp", blob="dd2.webp"))])
    assert await store.named_blobs("cc") == frozenset()
    assert await store.named_blobs("dd") == frozenset()


async def test_pictures_that_look_alike_are_found_among_the_tenants_own(store: Store) -> None:
    look = int("0123456789abcdef", 16)
    hashes = {"same": look, "near": look ^ 0b1_0000_0000_0001, "far": look ^ (2**64 - 1)}
    for sequence, (name, value) in enumerate(hashes.items(), start=1):
        job = a_job(sequence, state=JobState.COMPLETED)
        picture = replace(an_output(job), output_id=OutputId(name), perceptual_hash=f"{value:016x}")
        await store.commit([PutJob(job=job), PutOutput(output=picture)])
    found = {output.output_id for output in await store.outputs_alike(ADA, f"{look:016x}")}
    assert {"same", "near"} <= found
    assert "far" not in found
    assert await store.outputs_alike(TenantId("somebody else"), f"{look:016x}") == ()


async def test_a_submission_is_taken_back_with_its_key_and_messages(store: Store) -> None:
    job, other = a_job(1), a_job(2)
    mine, theirs = a_record(job), replace(a_record(other), key="k2")
    await store.commit([PutJob(job=job), PutIdempotency(record=mine), PutWebhookMessage(message=a_message())])
    await store.commit([PutJob(job=other), PutIdempotency(record=theirs)])
    await store.commit([TakeBack(job_id=job.job_id, records=(mine, replace(theirs, job_id=job.job_id)))])
    assert await store.job(job.job_id) is None
    assert await store.webhook_message(MessageId("m1")) is None
    assert await store.idempotency(ADA, "/v1/jobs", "k1") is None
    assert await store.idempotency(ADA, "/v1/jobs", "k2") == theirs, "it is another job's by now"
    assert sequences(await store.jobs(ADA, limit=9)) == [2]
    await store.commit([TakeBack(job_id=job.job_id, records=(mine,))])  # it never was: fine


async def test_a_job_that_has_ended_is_not_taken_back(store: Store) -> None:
    ended = a_job(1, state=JobState.CANCELLED)
    await store.commit([PutJob(job=ended), PutWebhookMessage(message=a_message())])
    await store.commit([TakeBack(job_id=ended.job_id)])
    assert sequences(await store.jobs(ADA, limit=9)) == [1]
    assert await store.webhook_message(MessageId("m1")) is not None


BAD_WRITES: dict[str, tuple[Write, ...]] = {
    "a posting that does not sum to zero": (a_posting(a_job(1), "p1", 700, off_by_micros=1),),
    "a posting with two lines of one number": (
        replace(posting := a_posting(a_job(1), "p1", 0), lines=posting.lines[:1] * 2),
    ),
    "an attempt of an unknown job": (PutAttempt(attempt=an_attempt(a_job(404))),),
    "an output of an unknown job": (PutOutput(output=an_output(a_job(404))),),
    "two jobs with one sequence": (PutJob(job=replace(a_job(1), job_id=JobId("twin"))),),
}


@pytest.mark.parametrize("bad", BAD_WRITES.values(), ids=BAD_WRITES.keys())
async def test_one_bad_write_undoes_its_whole_group_and_no_other(store: Store, bad: tuple[Write, ...]) -> None:
    before = a_job(1)
    key = an_api_key("k")
    await store.commit([PutJob(job=before), PutAttempt(attempt=an_attempt(before)), PutApiKey(key=key)])

    moved = replace(before, state=JobState.DISPATCHED, attempt=1)
    group: list[Write] = [
        PutJob(job=moved),
        PutJob(job=a_job(2)),
        PutAttempt(attempt=an_attempt(before, 2)),
        PutOutput(output=an_output(before)),
        a_posting(before, "p0", 5),
        PutIdempotency(record=a_record(before)),
        PutApiKey(key=replace(key, revoked_at_s=9.0)),
        PutWebhookEndpoint(endpoint=an_endpoint()),
        PutWebhookMessage(message=a_message()),
        *bad,
        PutJob(job=a_job(3)),
    ]
    results = await asyncio.gather(
        store.commit([PutJob(job=a_job(10))]),
        store.commit(group),
        store.commit([PutJob(job=a_job(11))]),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [type(None), AssertionError, type(None)]
    assert await store.jobs(ADA, limit=10) == tuple(
        StoredJob(job=job, outputs=(), cost_micros=0) for job in (a_job(11), a_job(10), before)
    )
    assert await store.attempts(before.job_id) == (an_attempt(before),)
    assert await store.ledger(before.job_id) == ()
    assert await store.output(an_output(before).output_id) is None
    assert await store.idempotency(ADA, "/v1/jobs", "k1") is None
    assert await store.api_keys() == (key,)
    assert await store.webhook_endpoints() == ()
    assert await store.webhook_messages(ADA, limit=9) == ()


async def test_a_returned_commit_is_seen_by_the_next_read(store: Store) -> None:
    for sequence in range(1, 21):
        await put(store, a_job(sequence))
        assert sequences(await store.jobs(ADA, limit=1)) == [sequence]


async def test_concurrent_commits_are_all_kept(store: Store) -> None:
    async with asyncio.TaskGroup() as tasks:
        for sequence in range(1, 201):
            tasks.create_task(put(store, a_job(sequence)))
    assert sequences(await store.jobs(ADA, limit=1000)) == list(range(200, 0, -1))


# --- how long pictures stay ------------------------------------------------------------------------------------------


def a_picture(job: Job, index: int = 0, *, digit: str = "a", at_s: float = 5.0, size_bytes: int = 100) -> Output:
    output = an_output(job, index)
    blob, thumbnail_blob = f"{digit * 64}.png", f"{digit * 63}0.webp"
    return replace(
        output,
        blob=blob,
        thumbnail_blob=thumbnail_blob,
        created_at_s=at_s,
        size_bytes=size_bytes,
        thumbnail_bytes=7,
    )


async def test_every_picture_has_a_keeping_of_its_own(store: Store) -> None:
    job = a_job(1, state=JobState.COMPLETED)
    output = a_picture(job)
    await store.commit([PutJob(job=job), PutOutput(output=output), PutOutput(output=output)])
    keeping = Keeping(
        output_id=output.output_id,
        job_id=job.job_id,
        tenant_id=ADA,
        plan=Tier.PRO,
        model_id=job.request.model_id,
        created_at_s=5.0,
        size_bytes=107,
    )
    assert await store.keeping(output.output_id) == keeping
    await store.commit([StarOutput(output_id=output.output_id, at_s=8.0)])
    await store.commit([HoldOutput(output_id=output.output_id, at_s=9.0)])
    await store.commit([MoveOutput(output_id=output.output_id, to=StorageTier.COOL, at_s=10.0)])
    moved = replace(keeping, storage_tier=StorageTier.COOL, moved_at_s=10.0, starred_at_s=8.0, held_at_s=9.0)
    assert await store.keeping(output.output_id) == moved
    await store.commit([MoveOutput(output_id=output.output_id, to=StorageTier.RECIPE, at_s=11.0)])
    assert await store.keeping(output.output_id) == moved, "what has a star or a hold keeps its bytes"
    for write in (StarOutput(output_id=output.output_id, at_s=None), HoldOutput(output_id=output.output_id, at_s=None)):
        await store.commit([write])
    assert await store.keeping(output.output_id) == replace(moved, starred_at_s=None, held_at_s=None)
    assert await store.keeping(OutputId("no-such")) is None


async def test_keepings_come_page_by_page_oldest_first(store: Store) -> None:
    job = a_job(1, state=JobState.COMPLETED)
    outputs = [a_picture(job, index, at_s=at_s) for index, at_s in enumerate((30.0, 10.0, 10.0, 20.0))]
    await store.commit([PutJob(job=job), *(PutOutput(output=output) for output in outputs)])
    first = await store.keepings(before_s=30.0, limit=2)
    assert [each.output_id for each in first] == ["job-1-1", "job-1-2"]
    last = first[-1]
    rest = await store.keepings(before_s=30.0, limit=2, after=(last.created_at_s, last.output_id))
    assert [each.output_id for each in rest] == ["job-1-3"]


async def test_holdings_are_counted_by_tenant_place_and_age(store: Store) -> None:
    hers, his = a_job(1, state=JobState.COMPLETED), a_job(2, tenant="bob", state=JobState.COMPLETED)
    now_s, day_s = 1e9, 86_400.0
    pictures = [
        *(a_picture(hers, index, at_s=now_s - days * day_s) for index, days in enumerate((1, 8, 31, 91, 92))),
        a_picture(his, at_s=now_s),
    ]
    await store.commit([PutJob(job=hers), PutJob(job=his), *(PutOutput(output=each) for each in pictures)])
    await store.commit([StarOutput(output_id=pictures[4].output_id, at_s=1.0)])
    found = await store.holdings(now_s=now_s)

    def holding(tenant: TenantId, age: int, *, is_kept: bool = False) -> Holding:
        return Holding(
            tenant_id=tenant,
            plan=Tier.PRO,
            storage_tier=StorageTier.HOT,
            age_days_min=age,
            is_kept=is_kept,
            outputs=1,
            size_bytes=107,
        )

    ages = [holding(ADA, age) for age in (0, 7, 30, 90)]
    assert list(found) == [*ages, holding(ADA, 90, is_kept=True), holding(BOB, 0)]


async def test_variants_count_and_go_with_their_picture(store: Store) -> None:
    job = a_job(1, state=JobState.COMPLETED)
    erased, recipe = a_picture(job, 0, digit="a"), a_picture(job, 1, digit="b")
    variants = [
        replace(a_variant(output), blob=f"{digit * 64}.avif", size_bytes=1_000)
        for output, digit in ((erased, "c"), (recipe, "d"))
    ]
    await store.commit([PutJob(job=job), PutOutput(output=erased), PutOutput(output=recipe)])
    await store.commit([PutVariant(variant=variant) for variant in variants])
    assert sum(each.size_bytes for each in await store.holdings(now_s=6.0)) == 2 * (107 + 1_000)
    await store.commit([EraseOutput(deletion=a_deletion(erased))])
    await store.commit([MoveOutput(output_id=recipe.output_id, to=StorageTier.RECIPE, at_s=1.0)])
    names = [*erased.blobs, *recipe.blobs, *(variant.blob for variant in variants)]
    assert await store.held_blobs(names) == {recipe.thumbnail_blob}
    stored = await store.job(job.job_id)
    assert stored is not None
    assert stored.outputs == (recipe,)
    assert sum(each.size_bytes for each in await store.holdings(now_s=6.0)) == 107


async def test_an_erased_picture_leaves_a_record_until_its_files_are_gone_and_after(store: Store) -> None:
    job = a_job(1, state=JobState.COMPLETED)
    first, second = a_picture(job, 0, digit="a"), a_picture(job, 1, digit="b")
    await store.commit([PutJob(job=job), PutOutput(output=first), PutOutput(output=second)])
    deletion = a_deletion(first)
    await store.commit([EraseOutput(deletion=deletion)])
    await store.commit([EraseOutput(deletion=replace(deletion, at_s=99.0))])
    assert await store.output(first.output_id) is None
    assert await store.keeping(first.output_id) is None
    assert await store.output(second.output_id) == second
    assert await store.held_blobs([*first.blobs, *second.blobs]) == frozenset(second.blobs)
    assert await store.deletion(deletion.deletion_id) == deletion
    assert await store.deletions_pending(limit=9) == (deletion,)
    await store.commit([EndDeletion(deletion_id=deletion.deletion_id, at_s=60.0)])
    await store.commit([EndDeletion(deletion_id=deletion.deletion_id, at_s=61.0)])
    done = replace(deletion, done_at_s=60.0)
    assert await store.deletions_pending(limit=9) == ()
    assert await store.deletions(ADA, limit=9) == (done,)
    assert await store.deletions(ADA, limit=9, before_s=50.0) == ()
    assert await store.deletions(BOB, limit=9) == ()
    assert await store.deletion("no-such") is None


@pytest.mark.parametrize(
    ("mark", "reason", "goes"),
    [
        (StarOutput, DeletionReason.TENANT, True),
        (StarOutput, DeletionReason.RETENTION, False),
        (HoldOutput, DeletionReason.TENANT, False),
        (HoldOutput, DeletionReason.OPERATOR, False),
    ],
)
async def test_stars_keep_from_retention_and_holds_from_everybody(
    store: Store, mark: type[StarOutput | HoldOutput], reason: DeletionReason, goes: bool
) -> None:
    job = a_job(1, state=JobState.COMPLETED)
    output = a_picture(job)
    await store.commit([PutJob(job=job), PutOutput(output=output), mark(output_id=output.output_id, at_s=1.0)])
    assert await store.ended_jobs(before_s=9e9, limit=9) == ()
    await store.commit([EraseOutput(deletion=a_deletion(output, reason=reason))])
    assert (await store.output(output.output_id) is None) == goes
    assert (await store.deletion(f"del_{output.output_id}") is not None) == goes


async def test_a_job_with_a_held_picture_is_not_dropped(store: Store) -> None:
    job = a_job(1, state=JobState.COMPLETED)
    output = a_picture(job)
    await store.commit([PutJob(job=job), PutOutput(output=output), HoldOutput(output_id=output.output_id, at_s=1.0)])
    await store.commit([DropJob(job_id=job.job_id)])
    assert await store.job(job.job_id) == StoredJob(job=job, outputs=(output,), cost_micros=Micros(0))
    await store.commit([HoldOutput(output_id=output.output_id, at_s=None), DropJob(job_id=job.job_id)])
    assert await store.job(job.job_id) is None
    assert await store.keeping(output.output_id) is None


async def test_a_recipe_names_its_thumbnail_and_nothing_else(store: Store) -> None:
    job = a_job(1, state=JobState.COMPLETED)
    output = a_picture(job)
    await store.commit([PutJob(job=job), PutOutput(output=output)])
    await store.commit([MoveOutput(output_id=output.output_id, to=StorageTier.RECIPE, at_s=1.0)])
    assert await store.held_blobs(output.blobs) == {output.thumbnail_blob}
    assert await store.named_blobs("aa") == {output.thumbnail_blob}
    assert await store.output(output.output_id) == output


async def test_regenerations_are_found_by_picture_and_by_model(store: Store) -> None:
    first, second = a_job(1, state=JobState.COMPLETED), a_job(2, state=JobState.COMPLETED)
    await put(store, first, second)
    model_id = first.request.model_id
    made = [
        Regeneration(job_id=job.job_id, output_id=OutputId("job-0-0"), model_id=model_id, at_s=at_s)
        for job, at_s in ((first, 1.0), (second, 2.0))
    ]
    await store.commit([PutRegeneration(regeneration=each) for each in (*made, replace(made[0], at_s=9.0))])
    assert await store.regenerations(OutputId("job-0-0"), limit=9) == (made[1], made[0])
    assert await store.regenerations_of_model(model_id, limit=1) == (made[1],)
    assert await store.regenerations(OutputId("job-0-1"), limit=9) == ()
    await store.commit([DropJob(job_id=second.job_id)])
    assert await store.regenerations(OutputId("job-0-0"), limit=9) == (made[0],)


# --- moderation ------------------------------------------------------------------------------------------------------


def names(cases: tuple[Case, ...]) -> list[str]:
    return [case.case_id for case in cases]


async def test_a_case_comes_back_with_its_log(store: Store) -> None:
    case = a_case()
    assert await store.case(case.case_id) is None
    await store.commit([opened(case), opened(replace(case, prompt="another"))])
    assert await store.case(case.case_id) == case
    assert await store.case_actions(case.case_id) == (opening(case),)

    decision = decided(case, CaseDeed.UPHELD, now_s=8.0, reason="plain to see")
    await store.commit([decision, decision])
    assert await store.case(case.case_id) == replace(case, state=CaseState.UPHELD, since_s=8.0, actions=2)
    assert await store.case_actions(case.case_id) == (opening(case), decision.action)

    await store.commit([decided(case, CaseDeed.OVERTURNED, now_s=9.0)])  # made of a state that is out of date
    assert await store.case(case.case_id) == decision.case
    assert await store.case_actions(case.case_id) == (opening(case), decision.action)


async def test_cases_wait_in_the_order_in_which_they_came_into_their_state(store: Store) -> None:
    cases = [a_case(f"case_{number}", now_s=now_s) for number, now_s in enumerate((3.0, 1.0, 2.0, 2.0))]
    await store.commit([opened(case) for case in cases])
    assert names(await store.cases(CaseState.OPEN, limit=2)) == ["case_1", "case_2"]
    assert names(await store.cases(CaseState.OPEN, limit=9, after=CaseId("case_2"))) == ["case_3", "case_0"]
    assert await store.cases(CaseState.OPEN, limit=9, after=CaseId("case_9")) == ()
    await store.commit([decided(cases[1], CaseDeed.OVERTURNED, now_s=9.0)])
    await store.commit([decided(cases[2], CaseDeed.APPEALED, now_s=8.0, actor="ada")])
    assert names(await store.cases(CaseState.OPEN, limit=9)) == ["case_3", "case_0"]
    assert names(await store.cases(CaseState.OVERTURNED, limit=9)) == ["case_1"]
    assert await store.case_counts() == (
        CaseCount(state=CaseState.APPEALED, count=1, oldest_s=8.0),
        CaseCount(state=CaseState.OPEN, count=2, oldest_s=2.0),
    )


async def test_who_did_what_is_counted(store: Store) -> None:
    cases = [a_case(f"case_{number}") for number in range(3)]
    await store.commit([opened(case) for case in cases])
    await store.commit([decided(case, CaseDeed.UPHELD, now_s=9.0, actor="key_b") for case in cases[:2]])
    await store.commit([decided(cases[2], CaseDeed.OVERTURNED, now_s=7.0, actor="key_a")])
    by_b = DeedCount(actor="key_b", deed=CaseDeed.UPHELD, count=2)
    assert await store.deed_counts(since_s=9.0) == (by_b,)
    assert await store.deed_counts(since_s=7.0) == (
        DeedCount(actor="key_a", deed=CaseDeed.OVERTURNED, count=1),
        by_b,
    )


async def test_decided_cases_can_be_forgotten_and_waiting_ones_cannot(store: Store) -> None:
    waiting, old, new = (a_case(name) for name in ("waiting", "old", "new"))
    await store.commit([opened(case) for case in (waiting, old, new)])
    await store.commit([decided(old, CaseDeed.UPHELD, now_s=8.0), decided(new, CaseDeed.UPHELD, now_s=9.0)])
    await store.commit([ForgetCases(before_s=9.0)])
    assert names(await store.cases_of_job(JobId("job-1"))) == ["new", "waiting"]
    assert await store.case_actions(old.case_id) == ()


async def test_the_case_of_a_submission_is_taken_back_with_it_and_outlives_an_ended_job(store: Store) -> None:
    refused, ended = a_job(1), a_job(2, state=JobState.COMPLETED)
    await put(store, refused, ended)
    await store.commit([opened(a_case("one", job="job-1")), opened(a_case("two", job="job-2"))])
    await store.commit([TakeBack(job_id=refused.job_id), TakeBack(job_id=ended.job_id), DropJob(job_id=ended.job_id)])
    assert await store.cases_of_job(refused.job_id) == ()
    assert await store.case_actions(CaseId("one")) == ()
    assert names(await store.cases_of_job(ended.job_id)) == ["two"]


async def test_a_picture_is_held_and_released(store: Store) -> None:
    job = a_job(1, state=JobState.COMPLETED)
    safety = Safety(score=0.625, decision=Decision.FLAG, judge="opennsfw")
    held = replace(an_output(job), availability=Availability.HELD, safety=safety)
    await store.commit([PutJob(job=job), PutOutput(output=held), PutOutput(output=an_output(job, 1))])
    assert await store.output(held.output_id) == held
    released = SetAvailability(output_id=held.output_id, availability=Availability.DELIVERED)
    await store.commit([released, replace(released, output_id=OutputId("gone"))])
    stored = await store.job(job.job_id)
    assert stored is not None
    assert stored.outputs == (replace(held, availability=Availability.DELIVERED), an_output(job, 1))
