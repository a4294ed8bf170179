"""What is wrong, in words: a pure function from the evidence of the last minutes to findings, the likely cause first.

Theory of operation. Almost everything that goes wrong shows first as a queue that grows and people who wait, so a
growing queue is a symptom and not yet a finding. Each cause has a rule that looks for the traces only it leaves: loads
that fail, losses on one GPU, one tenant who asks for most of it. Rules are asked in the order of `CAUSES`, the most
specific first; what merely says that there is too little capacity comes last, and only where no rule before it explains
the queue. Each finding says what it was seen by and what to do next.

Rules compare the last five minutes with the hour before and ask for a minimum of events, so that one crash at night is
no incident. `benchmarks/diagnosis.py` plants causes in simulated fleets and counts how often the right one is named
first, and how often calm weeks raise anything.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from heliograph.domain.ids import ModelId
from heliograph.domain.orders import Scope
from heliograph.monitoring.evidence import Evidence, FleetLook


class Cause(StrEnum):
    """Everything a diagnosis can name."""

    PART_FAILING = "part_failing"
    STORE_SLOW = "store_slow"
    LOADS_FAIL = "loads_fail"
    MODEL_TOO_LARGE = "model_too_large"
    BAD_GPU = "bad_gpu"
    SLOW_GPU = "slow_gpu"
    BAD_REVISION = "bad_revision"
    SLOW_POST_PROCESSING = "slow_post_processing"
    SPOT_LOSS = "spot_loss"
    TENANT_FLOOD = "tenant_flood"
    COLD_START_STORM = "cold_start_storm"
    HALTED = "halted"
    WEBHOOKS_FAIL = "webhooks_fail"
    PLACEMENT = "placement"
    UNDER_PROVISIONED = "under_provisioned"


class Severity(StrEnum):
    """`page`: people wait or lose work now. `ticket`: look at it today."""

    PAGE = "page"
    TICKET = "ticket"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One number a finding rests on."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong. `subject` is the model, GPU, zone or tenant it is about, where it is about one."""

    cause: Cause
    severity: Severity
    subject: str | None
    summary: str
    next_step: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosisPolicy:
    """Where the rules draw their lines; seconds, counts, and shares from 0 to 1.

    The queue is under pressure when working it off would take `drain_s` and it has grown by `growth` within three
    minutes, or when somebody has been next in line for `oldest_s`. Nothing is said before `warm_up_s` were observed:
    a server that has just started loads its models.
    """

    warm_up_s: float = 300.0
    drain_s: float = 45.0
    growth: float = 1.15
    oldest_s: float = 150.0
    busy_share: float = 0.9
    idle_share: float = 0.3
    idle_look_s: float = 180.0
    loading_share: float = 0.3
    cold_wait_s: float = 45.0
    loads_per_gpu: float = 0.75
    loads_failed: int = 2
    losses_on_gpu: int = 3
    memory_share: float = 0.05
    loss_share: float = 0.6
    slow_factor: float = 1.5
    slow_runs: int = 8
    others_slow_max: float = 1.2
    failures: int = 6
    failure_share: float = 0.25
    failure_growth: float = 5.0
    finish_factor: float = 3.0
    finish_more_s: float = 1.0
    finish_count: int = 5
    commit_factor: float = 5.0
    commit_s: float = 0.1
    commit_count: int = 5
    gone_share: float = 0.15
    gone_count: int = 2
    flood_share: float = 0.5
    flood_growth: float = 4.0
    flood_count: int = 20
    halted_s: float = 600.0
    webhook_tries: int = 20
    webhook_share: float = 0.7
    utilisation: float = 0.85


_Rule = Callable[[Evidence, DiagnosisPolicy], Iterator[Finding]]


def diagnose(evidence: Evidence, policy: DiagnosisPolicy | None = None) -> tuple[Finding, ...]:
    """Findings, the likely cause first; nothing when all is well or too little was observed yet."""
    policy = policy or DiagnosisPolicy()
    if evidence.problems:
        return tuple(_parts_failing(evidence, policy))
    if evidence.longer.seconds < policy.warm_up_s or len(evidence.looks) < 2:
        return ()
    found: list[Finding] = []
    for rule in _RULES:
        found += rule(evidence, policy)
    if found:
        return tuple(found)
    return tuple(finding for rule in _LAST_RULES for finding in rule(evidence, policy))


def describe_calm(evidence: Evidence) -> str:
    """One sentence on how things are, for when there is nothing to find."""
    look = evidence.last
    if not look.total:
        return "There is no GPU."
    looks = evidence.looks_within(300.0)
    busy = sum(each.busy_total for each in looks) / max(sum(each.total for each in looks), 1)
    return (
        f"Nothing is wrong: {look.total} GPU, {busy:.0%} busy over the last minutes, "
        f"{look.pending} waiting, the next of them for {look.oldest_s:.0f} s."
    )


def is_pressed(evidence: Evidence, policy: DiagnosisPolicy) -> bool:
    """People wait, and it does not get better."""
    now, then = evidence.last, evidence.look_before(180.0)
    is_growing = now.drain_s >= policy.drain_s and now.pending_s >= policy.growth * then.pending_s
    is_long = now.drain_s >= 2 * policy.drain_s and now.pending_s >= 0.97 * then.pending_s
    is_stuck = now.oldest_s >= policy.oldest_s and now.pending >= then.pending
    return is_growing or is_long or is_stuck


# --- what fails ------------------------------------------------------------------------------------------------------


def _parts_failing(evidence: Evidence, _policy: DiagnosisPolicy) -> Iterator[Finding]:
    for part, reason in evidence.problems.items():
        yield Finding(
            cause=Cause.PART_FAILING,
            severity=Severity.PAGE,
            subject=part,
            summary=f"No job is taken because of the {part}: {reason.rstrip('.')}.",
            next_step="Once that is mended the server goes on by itself, and /readyz turns 200.",
            facts=(Fact(name="jobs waiting", value=evidence.last.pending, unit=""),),
        )


def _store_slow(evidence: Evidence, policy: DiagnosisPolicy) -> Iterator[Finding]:
    recent = evidence.recent.mean("commit_s", "commits")
    before = evidence.before.mean("commit_s", "commits")
    if recent is None or before is None or evidence.recent.of("commits") < policy.commit_count:
        return
    if recent >= policy.commit_s and recent >= policy.commit_factor * before:
        yield Finding(
            cause=Cause.STORE_SLOW,
            severity=Severity.PAGE,
            subject=None,
            summary=(
                f"The database takes {_seconds(recent)} per commit, {recent / max(before, 1e-6):.0f} times as long as "
                "before; every submission and every move of a job waits for it."
            ),
            next_step=(
                "Look at the database's disk and at what else uses it (backups, a full disk, a vacuum, a slow network)."
            ),
            facts=(
                Fact(name="seconds per commit now", value=recent, unit="s"),
                Fact(name="seconds per commit before", value=before, unit="s"),
                Fact(name="commits", value=evidence.recent.of("commits"), unit=""),
            ),
        )


def _loads_fail(evidence: Evidence, policy: DiagnosisPolicy) -> Iterator[Finding]:
    window = evidence.recent
    too_large = {model for model in evidence.longer.by("memory_lost") if _is_too_large(model, evidence, policy)}
    for model, failed in _falling(window.by("load_failed")):
        done = window.of("load_done", model)
        if model in too_large or failed < policy.loads_failed or done >= failed:
            continue
        line = evidence.last.lines.get(ModelId(model))
        yield Finding(
            cause=Cause.LOADS_FAIL,
            severity=Severity.PAGE,
            subject=model,
            summary=f"{model} cannot be loaded: {failed:.0f} of {failed + done:.0f} loads failed within five minutes.",
            next_step=(
                f"Read the workers' last words (`worker lost` in the log) and check the weights of {model}; "
                f"`heliograph fleet drain --model {model}` refuses its jobs meanwhile."
            ),
            facts=(
                Fact(name="loads failed", value=failed, unit=""),
                Fact(name="loads done", value=done, unit=""),
                Fact(name="jobs waiting", value=0 if line is None else line.pending, unit=""),
            ),
        )


def _model_too_large(evidence: Evidence, policy: DiagnosisPolicy) -> Iterator[Finding]:
    for model, losses in _falling(evidence.longer.by("memory_lost")):
        gpus = {key[2] for key in evidence.longer.tally if key[:2] == ("memory_lost_on", model)}
        if not _is_too_large(model, evidence, policy) or len(gpus) < 2:
            continue
        yield Finding(
            cause=Cause.MODEL_TOO_LARGE,
            severity=Severity.PAGE,
            subject=model,
            summary=f"{model} runs out of memory: {losses:.0f} times within half an hour, on {len(gpus)} GPUs.",
            next_step=(
                f"Correct the memory in the catalogue's card of {model}, allow fewer models per GPU "
                "(fleet.models_per_slot) or place it on larger GPUs."
            ),
            facts=(
                Fact(name="workers out of memory", value=losses, unit=""),
                Fact(name="GPUs", value=len(gpus), unit=""),
            ),
        )


def _is_too_large(model: str, evidence: Evidence, policy: DiagnosisPolicy) -> bool:
    """It runs out of memory so often that it is no bad luck of a few large requests."""
    losses = evidence.longer.of("memory_lost", model)
    tries = losses + evidence.longer.of("run_ended", model)
    return losses >= policy.losses_on_gpu and losses >= policy.memory_share * tries


def _bad_gpu(evidence: Evidence, policy: DiagnosisPolicy) -> Iterator[Finding]:
    if evidence.last.total < 2:
        return
    lost, failed = evidence.longer.by("worker_lost_on"), evidence.longer.by("run_failed_on")
    crashing = set(_concentrated(lost, policy.losses_on_gpu, policy.loss_share))
    # Runs fail for many reasons that are not the GPU's: more of them are needed, and a good part of what runs on it.
    failing = {
        gpu
        for gpu in _concentrated(failed, policy.failures, policy.loss_share)
        if failed[gpu] >= policy.failure_share * evidence.longer.of("run_ended_on", gpu)
    }
    for gpu in sorted(crashing | failing):
        recent = evidence.recent
        if not recent.of("worker_lost_on", gpu) + recent.of("run_failed_on", gpu):
            continue
        count, total = (lost[gpu], sum(lost.values())) if gpu in crashing else (failed[gpu], sum(failed.values()))
        what = "lost workers" if gpu in crashing else "failed runs"
        yield Finding(
            cause=Cause.BAD_GPU,
            severity=Severity.PAGE,
            subject=gpu,
            summary=f"{gpu} looks broken: {count:.0f} of {total:.0f} {what} within half an hour were on it.",
            next_step=f"Take {gpu} out of the fleet and look at its driver's log (Xid errors, ECC, power, PCIe).",
            facts=(
                Fact(name=f"{what} on it", value=count, unit=""),
                Fact(name=f"{what} in all", value=total, unit=""),
            ),
        )


def _concentrated(counts: Mapping[str, float], least: float, share: float) -> list[str]:
    """Who has at least so many, and at least this share of all."""
    total = sum(counts.values())
    return [name for name, count in counts.items() if count >= least and count >= share * total]


def _slow_gpu(evidence: Evidence, policy: DiagnosisPolicy) -> Iterator[Finding]:
    window = evidence.longer if evidence.recent.total("slow_runs") < 4 * policy.slow_runs else evidence.recent
    runs, ratios = window.by("slow_runs"), window.by("slow_ratio")
    for gpu, ratio in _falling({gpu: ratios[gpu] / count for gpu, count in runs.items()}):
        others = [(ratios[each], runs[each]) for each in runs if each != gpu]
        count = sum(number for _, number in others)
        if runs[gpu] < policy.slow_runs or ratio < policy.slow_factor or not count:
            continue
        usual = sum(total for total, _ in others) / count
        if usual > policy.others_slow_max:
            continue
        yield Finding(
            cause=Cause.SLOW_GPU,
            severity=Severity.TICKET,
            subject=gpu,
            summary=f"{gpu} is slow: runs take {ratio:.1f} times as long as the same work does elsewhere.",
            next_step=(
                f"Look at temperature, clocks and power of {gpu} and at other processes on it; take it out of the "
                "fleet until it is as fast as its peers."
            ),
            facts=(
                Fact(name="time relative to usual", value=ratio, unit=""),
                Fact(name="others", value=usual, unit=""),
                Fact(name="runs", value=runs[gpu], unit=""),
            ),
        )


def _bad_revision(evidence: Evidence, policy: DiagnosisPolicy) -> Iterator[Finding]:
    recent, before = evidence.recent, evidence.before
    for model, ended in _falling(recent.by("run_ended")):
        failed, rejected = recent.of("run_failed", model), recent.of("gate_rejected", model)
        bad = failed + rejected
        ended_before = before.of("run_ended", model)
        bad_before = before.of("run_failed", model) + before.of("gate_rejected", model)
        share, share_before = bad / ended, (bad_before + 1) / (ended_before + 50)
        if bad < policy.failures or share < policy.failure_share or share < policy.failure_growth * share_before:
            continue
        what = "runs fail" if failed >= rejected else "pictures do not pass the gates"
        yield Finding(
            cause=Cause.BAD_REVISION,
            severity=Severity.PAGE,
            subject=model,
            summary=f"{model} has gone bad: {bad:.0f} of {ended:.0f} attempts within five minutes failed ({what}).",
            next_step=(
                f"Roll {model} back to the revision before, or "
                f"`heliograph fleet drain --model {model}` until it is mended."
            ),
            facts=(
                Fact(name="failed runs", value=failed, unit=""),
                Fact(name="rejected by a gate", value=rejected, unit=""),
                Fact(name="share that failed", value=share, unit=""),
                Fact(name="share before", value=bad_before / ended_before if ended_before else 0.0, unit=""),
            ),
        )


def _slow_post_processing(evidence: Evidence, policy: DiagnosisPolicy) -> Iterator[Finding]:
    recent, before = evidence.recent.mean("finish_s", "finished"), evidence.before.mean("finish_s", "finished")
    if before is None:
        return
    now, then = evidence.last.finishing, evidence.look_before(300.0).finishing
    is_slow = (
        recent is not None
        and evidence.recent.of("finished") >= policy.finish_count
        and recent >= policy.finish_factor * before
        and recent >= before + policy.finish_more_s
    )
    piles_up = now >= 20 and now >= 3 * max(then, 1)
    if not is_slow and not piles_up:
        return
    yield Finding(
        cause=Cause.SLOW_POST_PROCESSING,
        severity=Severity.PAGE,
        subject=None,
        summary=(
            f"Post-processing is slow: {_seconds(recent or 0.0)} per job instead of {_seconds(before)}, "
            f"{now} jobs are in it."
        ),
        next_step=(
            "Look at the CPU and at the picture store; more delivery.processes, cheaper formats or sizes, and fewer "
            "enlargements make it faster."
        ),
        facts=(
            Fact(name="seconds per job now", value=recent or 0.0, unit="s"),
            Fact(name="seconds per job before", value=before, unit="s"),
            Fact(name="jobs in post-processing", value=now, unit=""),
        ),
    )


def _webhooks_fail(evidence: Evidence, policy: DiagnosisPolicy) -> Iterator[Finding]:
    tried, failed = evidence.recent.of("webhook_tried"), evidence.recent.of("webhook_failed")
    if tried >= policy.webhook_tries and failed >= policy.webhook_share * tried:
        yield Finding(
            cause=Cause.WEBHOOKS_FAIL,
            severity=Severity.TICKET,
            subject=None,
            summary=f"Webhooks do not arrive: {failed:.0f} of {tried:.0f} tries within five minutes failed.",
            next_step="`heliograph webhooks deliveries` shows the receivers' answers; is the way out of here open?",
            facts=(Fact(name="tries", value=tried, unit=""), Fact(name="failed", value=failed, unit="")),
        )


# --- who asks for too much, and what there is too little of ----------------------------------------------------------


def _spot_loss(evidence: Evidence, policy: DiagnosisPolicy) -> Iterator[Finding]:
    if not is_pressed(evidence, policy):
        return
    now = evidence.last
    most: dict[tuple[str, str], int] = {}
    for look in evidence.looks:
        for place, count in look.markets.items():
            most[place] = max(most.get(place, 0), count)
    gone = {place: count - now.markets.get(place, 0) for place, count in most.items() if place[1] == "spot"}
    total = sum(gone.values())
    if total < policy.gone_count or total < policy.gone_share * (now.total + total):
        return
    zone = max(gone, key=lambda place: gone[place])[0]
    yield Finding(
        cause=Cause.SPOT_LOSS,
        severity=Severity.PAGE,
        subject=zone,
        summary=(
            f"Spot GPUs were taken back: {total} of {now.total + total} within a quarter of an hour, most of them in "
            f"zone {zone or 'unnamed'}, and the queue is growing."
        ),
        next_step="Buy in another zone or on demand until spot comes back; jobs that ran there go on elsewhere.",
        facts=(
            Fact(name="GPUs gone", value=total, unit=""),
            Fact(name="GPUs left", value=now.total, unit=""),
            *_queue_facts(now),
        ),
    )


def _tenant_flood(evidence: Evidence, policy: DiagnosisPolicy) -> Iterator[Finding]:
    recent, before = evidence.recent, evidence.before
    asked = recent.by("asked_by")
    total = sum(asked.values())
    if not asked or not is_pressed(evidence, policy) or before.seconds <= 0:
        return
    tenant, count = _falling(asked)[0]
    usual = before.of("asked_by", tenant) / before.seconds * max(recent.seconds, 1.0)
    others = total - count
    others_usual = (before.total("asked_by") - before.of("asked_by", tenant)) / before.seconds * recent.seconds
    if count < policy.flood_count or count < policy.flood_share * total or count < policy.flood_growth * usual:
        return
    if others > 2 * max(others_usual, 5.0):
        return  # everybody asks for more: no one's flood
    yield Finding(
        cause=Cause.TENANT_FLOOD,
        severity=Severity.PAGE,
        subject=tenant,
        summary=(
            f"Tenant {tenant} floods the queue: {count:.0f} of {total:.0f} jobs of the last five minutes are theirs, "
            f"usually {usual:.0f}."
        ),
        next_step=(
            f"Fairness keeps others moving. Bound {tenant} with limits.submissions_per_minute or "
            "queue.running_max_per_tenant, or ask what they are doing."
        ),
        facts=(
            Fact(name="jobs of the tenant", value=count, unit=""),
            Fact(name="jobs in all", value=total, unit=""),
            Fact(name="usual for the tenant", value=usual, unit=""),
            *_queue_facts(evidence.last),
        ),
    )


def _cold_start_storm(evidence: Evidence, policy: DiagnosisPolicy) -> Iterator[Finding]:
    looks = evidence.looks_within(300.0)
    gpus = sum(look.total for look in looks)
    loading = sum(look.loading_total for look in looks)
    loads = evidence.recent.by("load_started")
    models = sum(1 for count in loads.values() if count)
    started = sum(loads.values())
    if not gpus or loading < policy.loading_share * gpus or started < policy.loads_per_gpu * evidence.last.total:
        return
    is_felt = is_pressed(evidence, policy) or min(look.oldest_s for look in looks[-3:]) >= policy.cold_wait_s
    if models < 2 or not is_felt:
        return
    yield Finding(
        cause=Cause.COLD_START_STORM,
        severity=Severity.PAGE,
        subject=None,
        summary=(
            f"GPUs load instead of working: {loading / gpus:.0%} of their time went into {started:.0f} loads of "
            f"{models} models within five minutes, while jobs wait."
        ),
        next_step=(
            "More models are asked for than fit. Pin those that matter (`heliograph models pin`), cap the others, "
            "raise fleet.models_per_slot or add GPUs with more memory."
        ),
        facts=(
            Fact(name="share of GPU time spent loading", value=loading / gpus, unit=""),
            Fact(name="loads", value=started, unit=""),
            Fact(name="models", value=models, unit=""),
            *_queue_facts(evidence.last),
        ),
    )


def _halted(evidence: Evidence, policy: DiagnosisPolicy) -> Iterator[Finding]:
    now = evidence.last
    for halt in now.halts:
        waiting = [
            line
            for model, line in now.lines.items()
            if line.pending and (halt.scope is not Scope.POOL) and halt.covers(model, None)
        ]
        oldest_s = max((line.oldest_s for line in waiting), default=0.0)
        if oldest_s < policy.halted_s:
            continue
        what = halt.name or "everything"
        yield Finding(
            cause=Cause.HALTED,
            severity=Severity.TICKET,
            subject=halt.name or None,
            summary=f"{what} is halted by an operator while jobs have been waiting for {oldest_s / 60:.0f} min.",
            next_step="`heliograph fleet resume` ends it, if nobody needs it any more.",
            facts=(Fact(name="jobs waiting", value=sum(line.pending for line in waiting), unit=""),),
        )


def _placement(evidence: Evidence, policy: DiagnosisPolicy) -> Iterator[Finding]:
    looks = evidence.looks_within(policy.idle_look_s)
    now, then = looks[-1], looks[0]
    if now.at_s - then.at_s < 0.8 * policy.idle_look_s or now.halts:
        return
    idle = min(1 - (look.busy_total + look.loading_total) / max(look.total, 1) for look in looks)
    if idle < policy.idle_share:
        return
    for model, line in sorted(now.lines.items(), key=lambda item: -item[1].oldest_s):
        past = then.lines.get(model)
        if not line.pending or past is None or line.pending < past.pending or not past.pending:
            continue
        if line.oldest_s < max(policy.idle_look_s, 3 * line.load_s):
            continue
        yield Finding(
            cause=Cause.PLACEMENT,
            severity=Severity.PAGE,
            subject=model,
            summary=(
                f"{idle:.0%} of the GPUs idle while {line.pending} jobs of {model} wait, the next for "
                f"{line.oldest_s:.0f} s."
            ),
            next_step=(
                f"`heliograph fleet` says why nothing is loaded for {model}: is it too large for the GPUs that are "
                "free, capped, or is a tenant at its bound?"
            ),
            facts=(
                Fact(name="share of GPUs idle", value=idle, unit=""),
                Fact(name="workers of the model", value=line.replicas, unit=""),
                *_queue_facts(now),
            ),
        )


def _under_provisioned(evidence: Evidence, policy: DiagnosisPolicy) -> Iterator[Finding]:
    looks = evidence.looks_within(180.0)
    gpus = sum(look.total for look in looks)
    working = sum(look.busy_total + look.loading_total for look in looks)
    if not gpus or working < policy.busy_share * gpus or not is_pressed(evidence, policy):
        return
    now = evidence.last
    gpu_class = _scarcest(looks)
    more = missing_gpus(evidence, policy)
    busiest = sorted(now.lines.items(), key=lambda item: -item[1].pending_s)[:3]
    waited_for = ", ".join(f"{model} ({line.pending})" for model, line in busiest if line.pending)
    yield Finding(
        cause=Cause.UNDER_PROVISIONED,
        severity=Severity.PAGE,
        subject=gpu_class,
        summary=(
            f"There are too few GPUs: {now.total} are {working / gpus:.0%} busy and the queue grows; working it off "
            f"would take {now.drain_s / 60:.1f} min. Waited for: {waited_for}."
        ),
        next_step=f"Add {more} {gpu_class}; until then long waits can be refused with queue.wait_s_max.",
        facts=(
            Fact(name="GPUs to add", value=more, unit=""),
            Fact(name="share of GPUs working", value=working / gpus, unit=""),
            *_queue_facts(now),
        ),
    )


def missing_gpus(evidence: Evidence, policy: DiagnosisPolicy) -> int:
    """How many more GPUs would carry what is asked for at a healthy utilisation, and work the queue off in ten minutes.

    What is asked for is what was done plus what the queue grew by, in GPU-seconds per second.
    """
    now, then = evidence.last, evidence.look_before(300.0)
    passed_s = max(now.at_s - then.at_s, 1.0)
    looks = evidence.looks_within(300.0)
    working = sum(look.busy_total for look in looks) / max(len(looks), 1)
    asked = working + max(now.pending_s - then.pending_s, 0.0) / passed_s
    wanted = asked / policy.utilisation + now.pending_s / 600.0
    return max(round(wanted - now.total + 0.49), 1)


def _scarcest(looks: Iterable[FleetLook]) -> str:
    """The class of GPU with the largest share of working ones; the most numerous of equals."""
    total: dict[str, int] = {}
    working: dict[str, int] = {}
    for look in looks:
        for name, count in look.gpus.items():
            total[name] = total.get(name, 0) + count
            working[name] = working.get(name, 0) + look.busy.get(name, 0) + look.loading.get(name, 0)
    return max(total, key=lambda name: (round(working[name] / total[name], 1), total[name], name))


def _queue_facts(look: FleetLook) -> tuple[Fact, ...]:
    return (
        Fact(name="jobs waiting", value=look.pending, unit=""),
        Fact(name="work waiting", value=look.pending_s, unit="GPU s"),
        Fact(name="longest next in line", value=look.oldest_s, unit="s"),
    )


_RULES: tuple[_Rule, ...] = (
    _store_slow,
    _loads_fail,
    _model_too_large,
    _bad_revision,
    _bad_gpu,
    _slow_gpu,
    _slow_post_processing,
    _spot_loss,
    _tenant_flood,
    _cold_start_storm,
    _halted,
    _webhooks_fail,
)
_LAST_RULES: tuple[_Rule, ...] = (_under_provisioned, _placement)


def _falling(counts: Mapping[str, float]) -> list[tuple[str, float]]:
    """By count, the largest first; by name among equals."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 1 else f"{value * 1000:.0f} ms"
