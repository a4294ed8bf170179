"""Every value survives the way into its table and back, through the real SQL."""

import json
import sqlite3
import types
import typing
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.domain.accounts import ApiKey, Refusal
from heliograph.domain.billing_records import LedgerLine
from heliograph.domain.job import Attempt, Job
from heliograph.domain.moderation import Case, CaseAction
from heliograph.domain.pictures import Output, Variant
from heliograph.domain.webhooks import WebhookEndpoint, WebhookMessage, WebhookTry
from heliograph.storage import case_rows, queries, rows
from heliograph.storage.sqlite_connection import connect
from heliograph.storage.store import IdempotencyRecord
from tests.builders import an_api_key
from tests.storage.stored_samples import (
    a_case,
    a_job,
    a_message,
    a_posting,
    a_record,
    a_refusal,
    a_try,
    a_variant,
    an_action,
    an_attempt,
    an_endpoint,
    an_output,
)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a type of the domain; a field that is added there is drawn here without further ado."""
    if isinstance(kind, typing.NewType):
        return values(kind.__supertype__)
    if isinstance(kind, type) and is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return st.builds(kind, **{name: values(hint) for name, hint in hints.items()})
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        return st.one_of(*map(values, typing.get_args(kind)))
    if typing.get_origin(kind) is tuple:
        items = typing.get_args(kind)
        if items[-1] is not Ellipsis:
            return st.tuples(*map(values, items))
        return st.lists(values(items[0]), max_size=3).map(tuple)
    if issubclass(kind, Enum):
        return st.sampled_from(kind)
    return SCALARS[kind]


SCALARS = {
    str: st.text(max_size=20) | st.sampled_from(["", "🐈‍⬛ שלום", "\x00\x1f\u2028", "'; DROP TABLE jobs; --"]),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    types.NoneType: st.none(),
}

KINDS: dict[type, tuple[str, Callable[[Any], rows.Parameters], str, Callable[[rows.Row], object]]] = {
    Job: (queries.PUT_JOB, rows.row_of_job, "jobs", rows.job_of_row),
    Attempt: (queries.PUT_ATTEMPT, rows.row_of_attempt, "attempts", rows.attempt_of_row),
    Output: (queries.PUT_OUTPUT, rows.row_of_output, "outputs", rows.output_of_row),
    Variant: (queries.PUT_VARIANT, rows.row_of_variant, "output_variants", rows.variant_of_row),
    LedgerLine: (queries.post_ledger(1), rows.row_of_ledger_line, "ledger_lines", rows.ledger_line_of_row),
    IdempotencyRecord: (
        queries.PUT_IDEMPOTENCY,
        rows.row_of_idempotency,
        "idempotency_keys",
        rows.idempotency_of_row,
    ),
    ApiKey: (queries.PUT_API_KEY, rows.row_of_api_key, "api_keys", rows.api_key_of_row),
    Refusal: (queries.PUT_REFUSAL, rows.row_of_refusal, "refusals", rows.refusal_of_row),
    WebhookEndpoint: (
        queries.PUT_WEBHOOK_ENDPOINT,
        rows.row_of_webhook_endpoint,
        "webhook_endpoints",
        rows.webhook_endpoint_of_row,
    ),
    WebhookMessage: (
        queries.PUT_WEBHOOK_MESSAGE,
        rows.row_of_webhook_message,
        "webhook_messages",
        rows.webhook_message_of_row,
    ),
    Case: (queries.PUT_CASE, case_rows.row_of_case, "moderation_cases", case_rows.case_of_row),
    CaseAction: (
        queries.PUT_CASE_ACTION,
        case_rows.row_of_case_action,
        "moderation_actions",
        case_rows.case_action_of_row,
    ),
    WebhookTry: (queries.PUT_WEBHOOK_TRY, rows.row_of_webhook_try, "webhook_tries", rows.webhook_try_of_row),
}


@pytest.fixture(scope="module")
def connection(migrated_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = tmp_path_factory.mktemp("rows") / "rows.db"
    path.write_bytes(migrated_database.read_bytes())
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")  # an attempt is written here without its job
        yield connection


def through_the_table(connection: sqlite3.Connection, value: object) -> object:
    write, row_of, table, of_row = KINDS[type(value)]
    connection.execute("BEGIN")
    try:
        if isinstance(value, WebhookTry):  # a try is only written beside its message
            connection.execute(queries.PUT_WEBHOOK_MESSAGE, rows.row_of_webhook_message(a_message(value.message_id)))
        if isinstance(value, Variant):  # a variant is only written beside its picture
            picture = replace(an_output(a_job(1)), output_id=value.output_id)
            connection.execute(queries.PUT_OUTPUT, rows.row_of_output(picture))
        connection.execute(write, rows.row_of_posting([value]) if isinstance(value, LedgerLine) else row_of(value))
        return of_row(connection.execute(f"SELECT * FROM {table}").fetchone())
    finally:
        connection.execute("ROLLBACK")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault of the data
@given(data=st.data())
def test_any_value_comes_back_the_same(connection: sqlite3.Connection, kind: type, data: st.DataObject) -> None:
    value = data.draw(values(kind))
    if isinstance(value, Output):
        value = replace(value, variants=())  # they have a table of their own
    assert through_the_table(connection, value) == value


JOB = a_job(1)
SAMPLES = [
    JOB,
    an_attempt(JOB),
    an_output(JOB),
    a_variant(an_output(JOB)),
    a_posting(JOB, "p", 1).lines[0],
    a_record(JOB),
    an_api_key("k"),
    a_refusal(),
    an_endpoint(),
    a_message(),
    a_try(),
    a_case(),
    an_action(a_case()),
]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_what_a_newer_release_added_is_ignored(sample: object) -> None:
    _, row_of, _, of_row = KINDS[type(sample)]
    row: dict[str, Any] = {**row_of(sample), "a_new_column": 1}
    if "data" in row:
        row["data"] = json.dumps(with_additions(json.loads(row["data"])))
    assert of_row(row) == sample


def with_additions(data: Any) -> Any:
    """`data` with an unknown field in every object and an unknown element after every pair or other record."""
    match data:
        case dict():
            fields = cast(dict[str, Any], data)
            return {**{name: with_additions(value) for name, value in fields.items()}, "a_new_field": [1]}
        case [[*_], *_]:
            return [[*record, "a new element"] for record in data]
        case _:
            return data


def without(data: Any, path: str) -> str:
    *parents, field = path.split(".")
    target = data
    for parent in parents:
        target = target[parent]
    target.pop(field, None)  # a default is not written in the first place
    return json.dumps(data)


@pytest.mark.parametrize(
    ("missing", "default"),
    {
        "end_user": {"end_user": None},
        "deadline_at_s": {"deadline_at_s": None},
        "failures": {"failures": 0},
        "reseeds": {"reseeds": 0},
        "not_before_s": {"not_before_s": 0.0},
        "timeline": {"timeline": ()},
        "failure": {"failure": None},
        "request.raw_prompt": {"raw_prompt": JOB.request.prompt},
        "request.negative_prompt": {"negative_prompt": ""},
        "request.quality": {"quality": "standard"},
        "request.style": {"style": None},
        "request.upscale": {"upscale": 1},
        "request.inputs": {"inputs": None},
        "request.output_format": {"output_format": "png"},
        "request.output_quality": {"output_quality": None},
        "request.prompt_tokens": {"prompt_tokens": 0},
        "request.adjustments": {"adjustments": ()},
        "request.frames": {"frames": 1},
        "request.frames_per_second": {"frames_per_second": None},
    }.items(),
)
def test_what_an_older_release_did_not_write_gets_a_default(missing: str, default: dict[str, Any]) -> None:
    row = rows.row_of_job(JOB)
    row["data"] = without(json.loads(str(row["data"])), missing)
    in_request = missing.startswith("request.")
    expected = replace(JOB, request=replace(JOB.request, **default)) if in_request else replace(JOB, **default)
    assert rows.job_of_row(row) == expected


@pytest.mark.parametrize(("missing", "default"), [("frames", 1), ("duration_s", None)])
def test_a_picture_of_an_older_release_is_a_still(missing: str, default: object) -> None:
    clip = replace(an_output(JOB), frames=12, duration_s=1.5)
    row = rows.row_of_output(clip)
    row["data"] = without(json.loads(str(row["data"])), missing)
    assert rows.output_of_row(row) == replace(clip, **{missing: default})


def test_text_that_is_not_valid_unicode_survives(connection: sqlite3.Connection) -> None:
    job = a_job(1, prompt="half an emoji \ud83d")
    assert through_the_table(connection, job) == job
