"""How things are, for the operator: latency, the slowest jobs, objectives, health and quality."""

from collections.abc import Iterable

from fastapi import APIRouter, Request
from starlette.responses import Response

from heliograph.domain.sketch import Sketch
from heliograph.gateway import openapi
from heliograph.gateway.admin import check_operator_key
from heliograph.gateway.context import Context
from heliograph.gateway.openapi_insight import WINDOWS
from heliograph.gateway.wire import to_json
from heliograph.monitoring import Dimension, Finished, Group, Stage, Standing
from heliograph.prompts.values import choice, whole_number
from heliograph.quality_watch import RevisionQuality

SLOWEST, SLOWEST_MAX = 20, 200


def insight_router(context: Context) -> APIRouter:
    """`/v1/admin/latency`, `slowest`, `objectives`, `health` and `quality`."""
    router = APIRouter(prefix="/v1/admin", tags=["Operations"], default_response_class=Response)
    insight = context.insight

    def only_operator(request: Request) -> None:
        check_operator_key(request.headers.get("authorization"), context.operator_key)

    @router.get("/latency", **openapi.INSIGHT["latency"])
    async def latency(request: Request) -> Response:
        only_operator(request)
        query = request.query_params
        by = Dimension(choice(query.get("by", "all"), param="by", choices=tuple(Dimension)))
        window_s = WINDOWS[choice(query.get("window", "1h"), param="window", choices=tuple(WINDOWS))]
        groups = [_group_json(group) for group in insight.latency.groups(by, window_s)]
        history = [{"at": at_s, **_quantiles(sketch)} for at_s, sketch in insight.latency.history()]
        return _answer(
            {"object": "latency", "by": by.value, "window_s": window_s, "groups": groups, "history": history}
        )

    @router.get("/slowest", **openapi.INSIGHT["slowest"])
    async def slowest(request: Request) -> Response:
        only_operator(request)
        count = limit_of(request, default=SLOWEST, maximum=SLOWEST_MAX)
        return _answer({"object": "list", "data": [_finished_json(job) for job in insight.latency.slowest(count)]})

    @router.get("/objectives", **openapi.INSIGHT["objectives"])
    async def objectives(request: Request) -> Response:
        only_operator(request)
        standings = map(_standing_json, insight.objectives.standings())
        return _answer({"object": "objectives", "data": list(standings)})

    @router.get("/health", **openapi.INSIGHT["health"])
    async def health(request: Request) -> Response:
        only_operator(request)
        seen = insight.monitor.seen()
        gpus = [
            {
                "name": gpu.name,
                "utilization": gpu.utilisation,
                "memory_used_bytes": gpu.memory_used_bytes,
                "memory_total_bytes": gpu.memory_total_bytes,
                "temperature_c": gpu.temperature_c,
            }
            for gpu in insight.monitor.gpus
        ]
        return _answer(
            {
                "object": "health",
                "at": context.clock(),
                "seconds": 0.0 if seen is None else seen.recent.seconds,
                "gpus": gpus,
                "queues": [
                    {
                        "model": model_id,
                        "pending": line.pending,
                        "pending_s": round(line.pending_s, 3),
                        "oldest_s": round(line.oldest_s, 3),
                        "replicas": line.replicas,
                        "load_s": round(line.load_s, 3),
                    }
                    for model_id, line in (() if seen is None else seen.last.lines.items())
                ],
                "counts": [
                    {"what": key[0], "of": " ".join(key[1:]), "count": round(count, 6)}
                    for key, count in (() if seen is None else sorted(seen.recent.tally.items()))
                ],
            }
        )

    @router.get("/quality", **openapi.INSIGHT["quality"])
    async def quality(request: Request) -> Response:
        only_operator(request)
        return _answer({"object": "quality", "data": [_quality_json(each) for each in insight.quality.all()]})

    return router


def limit_of(request: Request, *, default: int, maximum: int) -> int:
    """The `limit` a query asks for. Raises `InvalidRequest`."""
    asked = request.query_params.get("limit", str(default))
    is_number = asked.isascii() and asked.isdecimal() and len(asked) < 10
    return whole_number(int(asked) if is_number else asked, param="limit", minimum=1, maximum=maximum)


# --- on the wire -----------------------------------------------------------------------------------------------------


def _answer(body: dict[str, object]) -> Response:
    return Response(to_json(body), media_type="application/json")


def _group_json(group: Group) -> dict[str, object]:
    stages = {stage.value: _quantiles(group.stages[stage]) for stage in Stage if stage in group.stages}
    return {"name": group.name, "stages": stages}


def _quantiles(sketch: Sketch) -> dict[str, object]:
    found = {f"p{round(share * 100)}": sketch.quantile(share) or 0.0 for share in (0.5, 0.95, 0.99)}
    return {"count": sketch.count, **_rounded(found.items()), "max": round(sketch.largest, 6)}


def _finished_json(job: Finished) -> dict[str, object]:
    return {
        "job_id": job.job_id,
        "model": job.model_id,
        "tier": job.tier,
        "tenant": job.tenant_id,
        "region": job.region,
        "total_s": round(job.total_s, 6),
        "finished_at": job.finished_at_s,
        "stages": _rounded((stage.value, seconds) for stage, seconds in job.stages.items()),
        "timeline": [{"state": moment.state.value, "at": moment.at_s} for moment in job.timeline],
        "stays": [
            {"worker": stay.worker_id, "gpu": stay.gpu_id, "seconds": round(stay.seconds, 6), "outcome": stay.outcome}
            for stay in job.stays
        ],
        "causes": list(job.causes),
    }


def _standing_json(standing: Standing) -> dict[str, object]:
    objective = standing.objective
    return {
        "name": objective.name,
        "kind": objective.kind.value,
        "target": objective.target,
        "threshold_s": objective.threshold_s,
        "tier": objective.tier,
        "model": objective.model,
        "good": standing.good,
        "bad": standing.bad,
        "budget_left": None if standing.budget_left is None else round(standing.budget_left, 6),
        "burn": {name: None if rate is None else round(rate, 6) for name, rate in standing.burn.items()},
        "alarm": None if standing.alarm is None else standing.alarm.value,
    }


def _quality_json(quality: RevisionQuality) -> dict[str, object]:
    signals, baseline = quality.signals, quality.baseline
    has_scores = signals.scores > 0
    quantiles = {f"p{round(share * 100)}": signals.alignment.quantile(share) for share in (0.1, 0.5, 0.9)}
    return {
        "model": quality.model_id,
        "revision": signals.revision,
        "is_current": quality.is_current,
        "jobs": signals.jobs,
        "pictures": signals.pictures,
        "flagged": signals.flagged,
        "rejected": signals.rejected,
        "user_retries": signals.user_retries,
        "downloads": signals.downloads,
        "alignment": {
            "count": signals.scores,
            "mean": round(signals.mean, 6) if has_scores else None,
            "deviation": round(signals.deviation, 6) if has_scores else None,
            **{name: None if value is None else round(value, 6) for name, value in quantiles.items()},
        },
        "days": [{"day": day, "count": count, "mean": round(total / count, 6)} for day, count, total in signals.days],
        "baseline": None
        if baseline is None
        else {
            "mean": round(baseline.mean, 6),
            "deviation": round(baseline.deviation, 6),
            "count": baseline.count,
        },
        "changed_at": quality.changed_at_s,
        "held": quality.verdict.is_held,
        "why": quality.verdict.why,
    }


def _rounded(numbers: Iterable[tuple[str, float]]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in numbers}
