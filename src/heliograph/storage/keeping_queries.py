"""The SQL statements of `keeping.py`, in the manner of `queries.py`."""

PUT_KEEPING = """
INSERT INTO output_keeping
    (output_id, job_id, tenant_id, plan, model_id, created_at_s, size_bytes, storage_tier)
SELECT CAST(:output_id AS TEXT), job_id, tenant_id, tier, model_id, CAST(:created_at_s AS DOUBLE PRECISION),
    CAST(:size_bytes AS BIGINT), 'hot'
FROM jobs WHERE job_id = :job_id
ON CONFLICT (output_id) DO NOTHING
"""

STAR_OUTPUT = "UPDATE output_keeping SET starred_at_s = :at_s WHERE output_id = :output_id"

HOLD_OUTPUT = "UPDATE output_keeping SET held_at_s = :at_s WHERE output_id = :output_id"

MOVE_OUTPUT = """
UPDATE output_keeping SET storage_tier = :storage_tier, moved_at_s = :at_s
WHERE output_id = :output_id
    AND (CAST(:storage_tier AS TEXT) <> 'recipe' OR (starred_at_s IS NULL AND held_at_s IS NULL))
"""

PUT_DELETION = """
INSERT INTO deletions
    (deletion_id, output_id, job_id, tenant_id, reason, at_s, sha256, size_bytes, files, done_at_s)
SELECT CAST(:deletion_id AS TEXT), output_id, job_id, tenant_id, CAST(:reason AS TEXT),
    CAST(:at_s AS DOUBLE PRECISION), CAST(:sha256 AS TEXT), CAST(:size_bytes AS BIGINT), CAST(:files AS TEXT), NULL
FROM outputs WHERE output_id = :output_id AND NOT EXISTS (
    SELECT 1 FROM output_keeping WHERE output_keeping.output_id = :output_id
        AND (held_at_s IS NOT NULL OR (starred_at_s IS NOT NULL AND CAST(:reason AS TEXT) = 'retention'))
)
ON CONFLICT (deletion_id) DO NOTHING
"""

DROP_VARIANTS_OF_RECIPE = """
DELETE FROM output_variants WHERE output_id = :output_id AND EXISTS (
    SELECT 1 FROM output_keeping WHERE output_keeping.output_id = :output_id AND storage_tier = 'recipe'
)
"""

ERASE_VARIANTS = """
DELETE FROM output_variants
WHERE output_id = :output_id AND EXISTS (SELECT 1 FROM deletions WHERE deletion_id = :deletion_id)
"""

ERASE_KEEPING = """
DELETE FROM output_keeping
WHERE output_id = :output_id AND EXISTS (SELECT 1 FROM deletions WHERE deletion_id = :deletion_id)
"""

ERASE_OUTPUT = """
DELETE FROM outputs
WHERE output_id = :output_id AND EXISTS (SELECT 1 FROM deletions WHERE deletion_id = :deletion_id)
"""

END_DELETION = "UPDATE deletions SET done_at_s = :at_s WHERE deletion_id = :deletion_id AND done_at_s IS NULL"

PUT_REGENERATION = """
INSERT INTO regenerations (job_id, output_id, model_id, at_s) VALUES (:job_id, :output_id, :model_id, :at_s)
ON CONFLICT (job_id) DO NOTHING
"""

DROP_KEEPINGS_OF_JOB = """
DELETE FROM output_keeping WHERE NOT EXISTS (SELECT 1 FROM outputs WHERE outputs.output_id = output_keeping.output_id)
    AND job_id = :job_id
"""

DROP_REGENERATION = """
DELETE FROM regenerations WHERE job_id IN
    (SELECT job_id FROM jobs WHERE job_id = :job_id AND finished_at_s IS NOT NULL)
"""

KEEPING = "SELECT * FROM output_keeping WHERE output_id = :output_id"

KEEPINGS = """
SELECT * FROM output_keeping
WHERE created_at_s < :before_s
    AND (created_at_s > :after_s OR (created_at_s = :after_s AND output_id > :after_id))
ORDER BY created_at_s, output_id LIMIT :limit
"""

HOLDINGS = """
SELECT tenant_id, plan, storage_tier, age_days_min, is_kept, COUNT(*) AS output_count,
    CAST(SUM(size_bytes) AS BIGINT) AS size_bytes
FROM (
    SELECT tenant_id, plan, storage_tier,
        size_bytes + COALESCE((SELECT SUM(output_variants.size_bytes) FROM output_variants
                               WHERE output_variants.output_id = output_keeping.output_id), 0) AS size_bytes,
        CASE WHEN created_at_s > :week_ago_s THEN 0 WHEN created_at_s > :month_ago_s THEN 7
             WHEN created_at_s > :quarter_ago_s THEN 30 ELSE 90 END AS age_days_min,
        CASE WHEN starred_at_s IS NULL AND held_at_s IS NULL THEN 0 ELSE 1 END AS is_kept
    FROM output_keeping
) AS aged
GROUP BY tenant_id, plan, storage_tier, age_days_min, is_kept
ORDER BY tenant_id, plan, storage_tier, age_days_min, is_kept
"""

DELETION = "SELECT * FROM deletions WHERE deletion_id = :deletion_id"

DELETIONS_OF_TENANT = """
SELECT * FROM deletions WHERE tenant_id = :tenant_id AND at_s < :before_s ORDER BY at_s DESC, deletion_id LIMIT :limit
"""

DELETIONS_PENDING = """
SELECT * FROM deletions WHERE done_at_s IS NULL ORDER BY at_s, deletion_id LIMIT :limit
"""

REGENERATIONS = "SELECT * FROM regenerations WHERE output_id = :output_id ORDER BY at_s DESC LIMIT :limit"

REGENERATIONS_OF_MODEL = "SELECT * FROM regenerations WHERE model_id = :model_id ORDER BY at_s DESC LIMIT :limit"
