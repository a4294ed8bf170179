"""Every SQL statement of the store, by name.

The SQL is what SQLite and PostgreSQL have in common; parameters are named, as `:job_id`. Rows are written with the
parameters that `rows.py` makes and read back by its twins, so column names here and there are the same. There is no
`%` in them and no colon that is not a parameter's: PostgreSQL's driver is given the same text in its own spelling.
"""

from functools import cache

PUT_JOB = """
INSERT INTO jobs (sequence, job_id, tenant_id, tier, model_id, state, attempt, created_at_s, finished_at_s, data)
VALUES (:sequence, :job_id, :tenant_id, :tier, :model_id, :state, :attempt, :created_at_s, :finished_at_s, :data)
ON CONFLICT (job_id) DO UPDATE SET
    tier = excluded.tier,
    model_id = excluded.model_id,
    state = excluded.state,
    attempt = excluded.attempt,
    finished_at_s = excluded.finished_at_s,
    data = excluded.data
"""
"""A job's sequence, tenant and time of creation never change, and leaving them out spares their indexes the update."""

PUT_ATTEMPT = """
INSERT INTO attempts
    (job_id, number, worker_id, gpu_id, gpu_class, market, zone, model_id, dispatched_at_s, ended_at_s, gpu_s, outcome)
VALUES
    (:job_id, :number, :worker_id, :gpu_id, :gpu_class, :market, :zone, :model_id, :dispatched_at_s, :ended_at_s,
     :gpu_s, :outcome)
ON CONFLICT (job_id, number) DO NOTHING
"""

PUT_OUTPUT = """
INSERT INTO outputs
    (output_id, job_id, tenant_id, position, created_at_s, alignment, blob, thumbnail_blob, availability,
     perceptual_hash, data)
VALUES
    (:output_id, :job_id, :tenant_id, :position, :created_at_s, :alignment, :blob, :thumbnail_blob, :availability,
     :perceptual_hash,
     :data)
ON CONFLICT (output_id) DO NOTHING
"""


PUT_VARIANT = """
INSERT INTO output_variants (output_id, name, job_id, blob, created_at_s, size_bytes, data)
SELECT :output_id, :name, :job_id, :blob, CAST(:created_at_s AS DOUBLE PRECISION), CAST(:size_bytes AS BIGINT), :data
WHERE EXISTS (SELECT 1 FROM outputs WHERE output_id = :output_id)
ON CONFLICT (output_id, name) DO NOTHING
"""


@cache
def post_ledger(line_count: int) -> str:
    """Append a posting of so many lines unless one of its id exists; line 0 is written with `line_0`, `account_0`..."""
    lines = ",\n    ".join(
        f"(:posting_id, CAST(:line_{number} AS INTEGER), :job_id_{number}, :tenant_id_{number}, :account_{number}, "
        f":component_{number}, CAST(:amount_micros_{number} AS BIGINT), CAST(:at_s_{number} AS DOUBLE PRECISION), "
        f"CAST(:model_id_{number} AS TEXT), CAST(:tier_{number} AS TEXT), CAST(:gpu_{number} AS TEXT), "
        f"CAST(:quantity_{number} AS BIGINT))"
        for number in range(line_count)
    )
    return f"""
INSERT INTO ledger_lines
    (posting_id, line, job_id, tenant_id, account, component, amount_micros, at_s, model_id, tier, gpu, quantity)
SELECT * FROM (VALUES
    {lines}
) AS posting WHERE NOT EXISTS (SELECT 1 FROM ledger_lines WHERE posting_id = :posting_id)
"""  # noqa: S608 -- what is filled in is numbers


PUT_IDEMPOTENCY = """
INSERT INTO idempotency_keys (tenant_id, route, key, fingerprint, job_id, created_at_s)
VALUES (:tenant_id, :route, :key, :fingerprint, :job_id, :created_at_s)
ON CONFLICT (tenant_id, route, key) DO UPDATE SET
    fingerprint = excluded.fingerprint,
    job_id = excluded.job_id,
    created_at_s = excluded.created_at_s
"""

PUT_API_KEY = """
INSERT INTO api_keys (key_id, secret_sha256, hint, tenant_id, tier, name, created_at_s, revoked_at_s, role)
VALUES (:key_id, :secret_sha256, :hint, :tenant_id, :tier, :name, :created_at_s, :revoked_at_s, :role)
ON CONFLICT (key_id) DO UPDATE SET
    secret_sha256 = excluded.secret_sha256,
    hint = excluded.hint,
    tenant_id = excluded.tenant_id,
    tier = excluded.tier,
    name = excluded.name,
    created_at_s = excluded.created_at_s,
    revoked_at_s = excluded.revoked_at_s,
    role = excluded.role
"""

PUT_REFUSAL = """
INSERT INTO refusals (refusal_id, tenant_id, stage, category, param, at_s)
VALUES (:refusal_id, :tenant_id, :stage, :category, :param, :at_s)
ON CONFLICT (refusal_id) DO NOTHING
"""

JOB = """
SELECT jobs.*,
    (SELECT CAST(COALESCE(-SUM(amount_micros), 0) AS BIGINT)
     FROM ledger_lines WHERE ledger_lines.job_id = jobs.job_id AND account = 'tenant') AS cost_micros
FROM jobs WHERE job_id = :job_id
"""
"""What reaches the account `tenant` is negative, because the money leaves the tenant; the cost is its opposite."""

JOBS_OF_TENANT = """
SELECT jobs.*,
    (SELECT CAST(COALESCE(-SUM(amount_micros), 0) AS BIGINT)
     FROM ledger_lines WHERE ledger_lines.job_id = jobs.job_id AND account = 'tenant') AS cost_micros
FROM jobs WHERE tenant_id = :tenant_id AND sequence < :before_sequence
ORDER BY sequence DESC LIMIT :limit
"""

OUTPUTS_OF_JOB = "SELECT * FROM outputs WHERE job_id = :job_id ORDER BY position"

OUTPUTS_OF_JOBS = """
SELECT outputs.* FROM jobs JOIN outputs ON outputs.job_id = jobs.job_id
WHERE jobs.tenant_id = :tenant_id AND jobs.sequence BETWEEN :oldest AND :newest
ORDER BY jobs.sequence, outputs.position
"""
"""The pictures of one page of `JOBS_OF_TENANT`, which is a range of sequences."""

VARIANTS_OF_JOB = "SELECT * FROM output_variants WHERE job_id = :job_id"

VARIANTS_OF_JOBS = """
SELECT output_variants.* FROM jobs JOIN output_variants ON output_variants.job_id = jobs.job_id
WHERE jobs.tenant_id = :tenant_id AND jobs.sequence BETWEEN :oldest AND :newest
"""

VARIANTS_OF_OUTPUT = "SELECT * FROM output_variants WHERE output_id = :output_id"

OPEN_JOBS = """
SELECT * FROM jobs
WHERE state IN ('pending', 'dispatched', 'running', 'post_processing') AND sequence > :after_sequence
ORDER BY sequence LIMIT :limit
"""
"""The condition is the partial index's, word for word: a new open state needs a migration of that index too."""

LAST_SEQUENCE = "SELECT COALESCE(MAX(sequence), 0) AS last_sequence FROM jobs"

OUTPUT = "SELECT * FROM outputs WHERE output_id = :output_id"

OUTPUT_OF_BLOB = """
SELECT * FROM outputs WHERE blob = :name OR thumbnail_blob = :name
    OR output_id IN (SELECT output_id FROM output_variants WHERE output_variants.blob = :name)
LIMIT 1
"""


@cache
def outputs_alike(bands: int, neighbours: int) -> str:
    """Pictures whose hash agrees with one of the values `near_BAND_NUMBER` in one of its bands of four digits."""
    conditions = [
        f"substr(perceptual_hash, {4 * band + 1}, 4) IN ({', '.join(f':near_{band}_{i}' for i in range(neighbours))})"
        for band in range(bands)
    ]
    return f"""
SELECT * FROM outputs WHERE tenant_id = :tenant_id AND ({" OR ".join(conditions)})
ORDER BY created_at_s DESC LIMIT :limit
"""  # noqa: S608 -- what is filled in is numbers


ATTEMPTS_OF_JOB = "SELECT * FROM attempts WHERE job_id = :job_id ORDER BY number"

LEDGER_OF_JOB = "SELECT * FROM ledger_lines WHERE job_id = :job_id ORDER BY entry"

POSTING = "SELECT * FROM ledger_lines WHERE posting_id = :posting_id ORDER BY line"

REVENUE_LINES = """
SELECT * FROM ledger_lines
WHERE account = 'revenue' AND at_s < :until_s AND at_s >= :after_s AND (at_s, posting_id) > (:after_s, :after_id)
ORDER BY at_s, posting_id LIMIT :limit
"""

LEDGER_BALANCE = """
SELECT CAST(COALESCE(SUM(amount_micros), 0) AS BIGINT) AS balance
FROM ledger_lines WHERE account = :account AND at_s < :before_s
"""

LEDGER_TOTALS = """
SELECT account, component, tenant_id, model_id, tier, gpu,
    CAST(SUM(amount_micros) AS BIGINT) AS amount_micros, CAST(SUM(quantity) AS BIGINT) AS quantity,
    COUNT(*) AS line_count
FROM ledger_lines WHERE at_s >= :since_s AND at_s < :until_s
GROUP BY account, component, tenant_id, model_id, tier, gpu
ORDER BY account, component, tenant_id, model_id, tier, gpu
"""

IDEMPOTENCY = "SELECT * FROM idempotency_keys WHERE tenant_id = :tenant_id AND route = :route AND key = :key"

API_KEYS = "SELECT * FROM api_keys ORDER BY created_at_s, key_id"

REFUSALS = """
SELECT * FROM refusals WHERE tenant_id = :tenant_id ORDER BY at_s DESC LIMIT :limit
"""

FORGET_IDEMPOTENCY = "DELETE FROM idempotency_keys WHERE created_at_s < :before_s"

FORGET_REFUSALS = "DELETE FROM refusals WHERE at_s < :before_s"

PUT_WEBHOOK_ENDPOINT = """
INSERT INTO webhook_endpoints
    (endpoint_id, tenant_id, url, events, description, created_at_s, secret_generation, old_secret_until_s,
     disabled_at_s, disabled_reason)
VALUES
    (:endpoint_id, :tenant_id, :url, :events, :description, :created_at_s, :secret_generation, :old_secret_until_s,
     :disabled_at_s, :disabled_reason)
ON CONFLICT (endpoint_id) DO UPDATE SET
    url = excluded.url,
    events = excluded.events,
    description = excluded.description,
    secret_generation = excluded.secret_generation,
    old_secret_until_s = excluded.old_secret_until_s,
    disabled_at_s = excluded.disabled_at_s,
    disabled_reason = excluded.disabled_reason
"""

DROP_WEBHOOK_ENDPOINT = "DELETE FROM webhook_endpoints WHERE endpoint_id = :endpoint_id"

DROP_WEBHOOK_TRIES_OF_TARGET = """
DELETE FROM webhook_tries WHERE message_id IN (SELECT message_id FROM webhook_messages WHERE target = :target)
"""

DROP_WEBHOOK_MESSAGES_OF_TARGET = "DELETE FROM webhook_messages WHERE target = :target"

PUT_WEBHOOK_MESSAGE = """
INSERT INTO webhook_messages
    (message_id, event_id, tenant_id, job_id, target, event, at_s, state, tries, failures, next_at_s, ended_at_s,
     last_error)
VALUES
    (:message_id, :event_id, :tenant_id, :job_id, :target, :event, :at_s, :state, :tries, :failures, :next_at_s,
     :ended_at_s, :last_error)
ON CONFLICT (message_id) DO NOTHING
"""

MOVE_WEBHOOK_MESSAGE = """
UPDATE webhook_messages SET
    state = :state,
    tries = :tries,
    failures = :failures,
    next_at_s = :next_at_s,
    ended_at_s = :ended_at_s,
    last_error = :last_error
WHERE message_id = :message_id
"""

POSTPONE_WEBHOOK_LANE = """
UPDATE webhook_messages SET next_at_s = :next_at_s
WHERE job_id = :job_id AND target = :target AND state = 'waiting' AND next_at_s < :next_at_s
"""

PUT_WEBHOOK_TRY = """
INSERT INTO webhook_tries (message_id, number, at_s, duration_s, status, error)
SELECT :message_id, :number, :at_s, :duration_s, :status, :error
WHERE EXISTS (SELECT 1 FROM webhook_messages WHERE message_id = :message_id)
ON CONFLICT (message_id, number) DO NOTHING
"""
"""Of a message that was dropped meanwhile, nothing is written."""

REPLAY_WEBHOOK_TARGET = """
UPDATE webhook_messages SET state = 'waiting', failures = 0, next_at_s = :now_s, ended_at_s = NULL
WHERE target = :target AND tenant_id = :tenant_id AND at_s >= :since_s AND state IN ('waiting', 'given_up')
"""

FORGET_WEBHOOK_TRIES = """
DELETE FROM webhook_tries WHERE message_id IN (SELECT message_id FROM webhook_messages WHERE at_s < :before_s)
"""

FORGET_WEBHOOK_MESSAGES = "DELETE FROM webhook_messages WHERE at_s < :before_s"

DROP_TRIES_OF_JOB = """
DELETE FROM webhook_tries WHERE message_id IN (
    SELECT message_id FROM webhook_messages WHERE job_id IN
        (SELECT job_id FROM jobs WHERE job_id = :job_id AND finished_at_s IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM output_keeping WHERE job_id = :job_id AND held_at_s IS NOT NULL))
)
"""

DROP_MESSAGES_OF_JOB = """
DELETE FROM webhook_messages WHERE job_id IN
    (SELECT job_id FROM jobs WHERE job_id = :job_id AND finished_at_s IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM output_keeping WHERE job_id = :job_id AND held_at_s IS NOT NULL))
"""

DROP_ATTEMPTS_OF_JOB = """
DELETE FROM attempts WHERE job_id IN
    (SELECT job_id FROM jobs WHERE job_id = :job_id AND finished_at_s IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM output_keeping WHERE job_id = :job_id AND held_at_s IS NOT NULL))
"""

DROP_OUTPUTS_OF_JOB = """
DELETE FROM outputs WHERE job_id IN
    (SELECT job_id FROM jobs WHERE job_id = :job_id AND finished_at_s IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM output_keeping WHERE job_id = :job_id AND held_at_s IS NOT NULL))
"""

DROP_VARIANTS_OF_JOB = """
DELETE FROM output_variants WHERE job_id IN
    (SELECT job_id FROM jobs WHERE job_id = :job_id AND finished_at_s IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM output_keeping WHERE job_id = :job_id AND held_at_s IS NOT NULL))
"""

DROP_JOB = """
DELETE FROM jobs WHERE job_id = :job_id AND finished_at_s IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM output_keeping WHERE job_id = :job_id AND held_at_s IS NOT NULL)
"""
"""The last of them: while the job is there, the others know that it has ended."""

TAKE_BACK_MESSAGES = """
DELETE FROM webhook_messages WHERE job_id IN
    (SELECT job_id FROM jobs WHERE job_id = :job_id AND finished_at_s IS NULL)
"""

TAKE_BACK_JOB = "DELETE FROM jobs WHERE job_id = :job_id AND finished_at_s IS NULL"

TAKE_BACK_IDEMPOTENCY = """
DELETE FROM idempotency_keys WHERE tenant_id = :tenant_id AND route = :route AND key = :key AND job_id = :job_id
"""

ENDED_JOBS = """
SELECT job_id FROM jobs
WHERE finished_at_s < :before_s AND NOT EXISTS (
    SELECT 1 FROM output_keeping
    WHERE output_keeping.job_id = jobs.job_id AND (starred_at_s IS NOT NULL OR held_at_s IS NOT NULL)
)
ORDER BY finished_at_s LIMIT :limit
"""

HOLDS_BLOB = """
SELECT 1 AS is_held FROM outputs WHERE thumbnail_blob = :name OR (blob = :name
    AND NOT EXISTS (SELECT 1 FROM output_keeping
                    WHERE output_keeping.output_id = outputs.output_id AND storage_tier = 'recipe'))
UNION ALL SELECT 1 FROM output_variants WHERE blob = :name LIMIT 1
"""
"""A picture that is only a recipe has no file but its thumbnail."""

NAMED_BLOBS = """
SELECT blob AS name FROM outputs WHERE blob >= :low AND blob < :high
    AND NOT EXISTS (SELECT 1 FROM output_keeping
                    WHERE output_keeping.output_id = outputs.output_id AND storage_tier = 'recipe')
UNION SELECT thumbnail_blob AS name FROM outputs WHERE thumbnail_blob >= :low AND thumbnail_blob < :high
UNION SELECT blob AS name FROM output_variants WHERE blob >= :low AND blob < :high
"""

WEBHOOK_ENDPOINTS = "SELECT * FROM webhook_endpoints ORDER BY created_at_s, endpoint_id"

WEBHOOK_TARGETS = """
WITH RECURSIVE targets (target) AS (
    SELECT MIN(target) FROM webhook_messages WHERE state = 'waiting'
    UNION ALL
    SELECT (SELECT MIN(target) FROM webhook_messages WHERE state = 'waiting' AND target > targets.target)
    FROM targets WHERE targets.target IS NOT NULL
)
SELECT target,
    (SELECT MIN(next_at_s) FROM webhook_messages
     WHERE state = 'waiting' AND webhook_messages.target = targets.target) AS next_at_s
FROM targets WHERE target IS NOT NULL
"""
"""Hops through the index from target to target: its cost is the number of targets, however many messages wait."""

WEBHOOK_JOBS_DUE = """
SELECT job_id FROM webhook_messages
WHERE state = 'waiting' AND target = :target AND next_at_s <= :now_s
ORDER BY next_at_s LIMIT :limit
"""

WEBHOOK_LANE = """
SELECT * FROM webhook_messages WHERE job_id = :job_id AND target = :target AND state = 'waiting' ORDER BY entry
"""

WEBHOOK_MESSAGE = "SELECT * FROM webhook_messages WHERE message_id = :message_id"

WEBHOOK_MESSAGES_OF_TENANT = """
SELECT * FROM webhook_messages
WHERE tenant_id = :tenant_id
    AND entry < COALESCE((SELECT earlier.entry FROM webhook_messages AS earlier WHERE earlier.message_id = :before),
                         9223372036854775807)
ORDER BY entry DESC LIMIT :limit
"""

WEBHOOK_MESSAGES_OF_TARGET = """
SELECT * FROM webhook_messages
WHERE target = :target AND tenant_id = :tenant_id
    AND entry < COALESCE((SELECT earlier.entry FROM webhook_messages AS earlier WHERE earlier.message_id = :before),
                         9223372036854775807)
ORDER BY entry DESC LIMIT :limit
"""

WEBHOOK_TRIES = "SELECT * FROM webhook_tries WHERE message_id = :message_id ORDER BY number"

PUT_CASE = """
INSERT INTO moderation_cases
    (case_id, subject, tenant_id, job_id, output_id, state, since_s, opened_at_s, actions, data)
VALUES
    (:case_id, :subject, :tenant_id, :job_id, :output_id, :state, :since_s, :opened_at_s, :actions, :data)
ON CONFLICT (case_id) DO NOTHING
"""

MOVE_CASE = """
UPDATE moderation_cases SET state = :state, since_s = :since_s, actions = :actions, data = :data
WHERE case_id = :case_id AND actions < :actions
"""

PUT_CASE_ACTION = """
INSERT INTO moderation_actions (case_id, number, at_s, actor, deed, reason)
VALUES (:case_id, :number, :at_s, :actor, :deed, :reason)
ON CONFLICT (case_id, number) DO NOTHING
"""

SET_AVAILABILITY = "UPDATE outputs SET availability = :availability WHERE output_id = :output_id"

FORGET_CASE_ACTIONS = """
DELETE FROM moderation_actions WHERE case_id IN
    (SELECT case_id FROM moderation_cases WHERE state IN ('upheld', 'overturned') AND since_s < :before_s)
"""

FORGET_CASES = "DELETE FROM moderation_cases WHERE state IN ('upheld', 'overturned') AND since_s < :before_s"

TAKE_BACK_CASE_ACTIONS = """
DELETE FROM moderation_actions WHERE case_id IN (
    SELECT case_id FROM moderation_cases WHERE job_id IN
        (SELECT job_id FROM jobs WHERE job_id = :job_id AND finished_at_s IS NULL)
)
"""

TAKE_BACK_CASES = """
DELETE FROM moderation_cases WHERE job_id IN
    (SELECT job_id FROM jobs WHERE job_id = :job_id AND finished_at_s IS NULL)
"""

CASE = "SELECT * FROM moderation_cases WHERE case_id = :case_id"

CASES = """
SELECT * FROM moderation_cases WHERE state = :state ORDER BY since_s, case_id LIMIT :limit
"""

CASES_AFTER = """
SELECT moderation_cases.* FROM moderation_cases
JOIN moderation_cases AS earlier ON earlier.case_id = :after
WHERE moderation_cases.state = :state
    AND (moderation_cases.since_s, moderation_cases.case_id) > (earlier.since_s, earlier.case_id)
ORDER BY moderation_cases.since_s, moderation_cases.case_id LIMIT :limit
"""
"""A case that was decided meanwhile still marks the place where it stood last."""

CASES_OF_JOB = "SELECT * FROM moderation_cases WHERE job_id = :job_id ORDER BY opened_at_s, case_id"

CASE_ACTIONS = "SELECT * FROM moderation_actions WHERE case_id = :case_id ORDER BY number"

CASE_COUNTS = """
SELECT state, COUNT(*) AS case_count, MIN(since_s) AS oldest_s
FROM moderation_cases WHERE state IN ('open', 'appealed') GROUP BY state ORDER BY state
"""

DEED_COUNTS = """
SELECT actor, deed, COUNT(*) AS deed_count FROM moderation_actions WHERE at_s >= :since_s
GROUP BY actor, deed ORDER BY actor, deed
"""
