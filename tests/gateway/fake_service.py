"""A `Service` without stages: jobs move when the test says so, and pictures are whatever the test wants them to be."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from heliograph.billing.quote import FREE_OF_CHARGE
from heliograph.delivery.ladder import Answer, Wish, answer
from heliograph.delivery.media_types import mime_type_of
from heliograph.delivery.verification import Inspection, Verification, conclude
from heliograph.domain.accounts import Caller
from heliograph.domain.errors import CallerError, NotFound, Timeout
from heliograph.domain.ids import JobId, OutputId, WorkerId
from heliograph.domain.intake import PictureRole, UploadedPicture
from heliograph.domain.job import Failure, JobState
from heliograph.domain.model_card import ModelCard
from heliograph.domain.orders import Orders
from heliograph.domain.pictures import Alignment, Availability, Output
from heliograph.domain.request import SEED_MAX, OutputFormat
from heliograph.domain.views import FleetStatus, JobStatus, ModelStatus, Phase
from heliograph.fleet.plan import FleetPolicy
from heliograph.fleet.status import fleet_status
from heliograph.live import LiveFeed, PreviewUpdate, ProgressUpdate, StatusUpdate, Update
from heliograph.prompts import prepare
from heliograph.prompts.fitting import Imported, settings_in
from heliograph.service import Priced, Readiness, Submission
from tests.builders import a_card, a_fleet, a_gpu, a_job, a_queue, a_replica, a_status, an_output

NOW_S = 1_000_000.0
PICTURE = b"\x89PNG" + bytes(range(256)) * 4
THUMBNAIL = b"RIFF" + bytes(64)
MADE_LATER = b"a file that was made when somebody asked"
JPEG = b"\xff\xd8 a preview"


class FakeService:
    """With `is_instant` a job completes as it is submitted; otherwise `move`, `step` and `complete` drive it."""

    def __init__(self, *, is_instant: bool = True, card: ModelCard | None = None) -> None:
        self.is_instant = is_instant
        self.is_held = False
        self.card = card or a_card()
        self.removed: list[JobId] = []
        self.error: Exception | None = None
        self.submissions: list[Submission] = []
        self.uploads: list[tuple[bytes, PictureRole, str]] = []
        self.callers: list[Caller] = []
        self.refusals: list[tuple[str, str | None, str]] = []
        self.cancelled: list[JobId] = []
        self.orders = Orders()
        self.statuses: dict[JobId, JobStatus] = {}
        self.blobs: dict[str, bytes] = {}
        self.wishes: list[tuple[Wish, bool]] = []
        self.feed = LiveFeed()
        self.readiness_now = Readiness(is_ready=True, problems={})
        self.something_happened = asyncio.Event()

    # --- what the gateway calls ---

    async def submit(self, submission: Submission, *, caller: Caller) -> JobStatus:
        self._raise_error()
        request = prepare(submission.raw, self.card, presets={}, count_tokens=lambda _: 5, draw_seed=lambda: 7)
        self.submissions.append(submission)
        self.callers.append(caller)
        number = len(self.submissions)
        job = a_job(
            f"job_{number}",
            tenant=caller.tenant_id,
            end_user=submission.end_user,
            request=request,
            sequence=number,
            created_at_s=NOW_S,
            webhook=submission.webhook,
            remixed_from=submission.remixed_from,
        )
        self._put(a_status(job, queue_position=1, eta_s=2.0))
        if self.is_instant:
            self.complete(job.job_id)
        return self.statuses[job.job_id]

    def price(self, submission: Submission, *, caller: Caller) -> Priced:
        self._raise_error()
        request = prepare(submission.raw, a_card(), presets={}, count_tokens=lambda _: 5, draw_seed=lambda: 7)
        return Priced(request=request, quote=FREE_OF_CHARGE, why_not=None)

    def refuse(self, error: CallerError, *, caller: Caller) -> None:
        self.refusals.append((error.code, error.param, caller.tenant_id))

    def fleet(self) -> FleetStatus:
        gpus = (a_gpu("gpu0", gpu_class="H100"), a_gpu("gpu1"))
        return fleet_status(
            a_fleet(a_replica("w0", since_s=NOW_S - 40, loaded_at_s=NOW_S - 90), gpus=gpus),
            a_queue(),
            {},
            FleetPolicy(),
            self.orders,
            memory_bytes={WorkerId("w0"): 900},
            now_s=NOW_S,
        )

    async def order(self, change: Callable[[Orders], Orders]) -> FleetStatus:
        self._raise_error()
        self.orders = change(self.orders)
        return self.fleet()

    def card_of(self, name: str) -> ModelCard:
        if name != a_card().model_id:
            raise NotFound(f"There is no model called {name!r}.", param="model", code="model_not_found")
        return a_card()

    def runnable(self, name: str) -> ModelCard:
        return self.card_of(name)

    async def status(self, job_id: JobId, *, caller: Caller) -> JobStatus:
        self._raise_error()
        status = self.statuses.get(job_id)
        if status is None or status.view.job.tenant_id != caller.tenant_id:
            raise NotFound(f"There is no job {job_id}.", code="job_not_found")
        return status

    async def jobs(self, *, caller: Caller, limit: int, before: int | None) -> tuple[JobStatus, ...]:
        own = [each for each in self.statuses.values() if each.view.job.tenant_id == caller.tenant_id]
        older = [each for each in reversed(own) if before is None or each.view.job.sequence < before]
        return tuple(older[:limit])

    async def cancel(self, job_id: JobId, *, caller: Caller) -> JobStatus:
        status = await self.status(job_id, caller=caller)
        self.cancelled.append(job_id)
        if not status.view.job.state.is_terminal:
            self.end(job_id, JobState.CANCELLED, "cancelled")
        return self.statuses[job_id]

    async def remove(self, job_id: JobId, *, caller: Caller) -> None:
        await self.cancel(job_id, caller=caller)
        self.removed.append(job_id)
        del self.statuses[job_id]

    async def contact_sheet(self, output: Output) -> bytes:
        return JPEG

    def formats(self) -> frozenset[OutputFormat]:
        return frozenset(OutputFormat)

    @asynccontextmanager
    async def watch(self, job_id: JobId, *, caller: Caller) -> AsyncGenerator[AsyncIterator[Update]]:
        status = await self.status(job_id, caller=caller)
        watcher = self.feed.subscribe(job_id)
        watcher.put(StatusUpdate(status=status))
        self._note()
        try:
            yield aiter(watcher)
        finally:
            self.feed.unsubscribe(job_id, watcher)
            self._note()

    async def wait(self, job_id: JobId, *, caller: Caller, timeout_s: float) -> JobStatus:
        try:
            async with asyncio.timeout(timeout_s), self.watch(job_id, caller=caller) as updates:
                async for _ in updates:
                    pass
        except TimeoutError:
            raise Timeout("The job goes on.", job_id=job_id) from None
        return self.statuses[job_id]

    async def output(self, output_id: OutputId, *, caller: Caller | None) -> Output:
        for status in self.statuses.values():
            for output in status.outputs:
                if output.output_id == output_id and (caller is None or output.tenant_id == caller.tenant_id):
                    return output
        raise NotFound(f"There is no output {output_id}.", code="output_not_found")

    async def file_of(self, output: Output, wish: Wish, *, is_link: bool) -> Answer:
        self.wishes.append((wish, is_link))
        found = answer(output, wish)
        if found.order is None:
            return found
        self.blobs[f"{found.order.name}.{found.order.file_format.value}"] = MADE_LATER
        return Answer(blob=f"{found.order.name}.{found.order.file_format.value}", is_final=found.is_final)

    async def read_blob(self, name: str, *, start: int, length: int | None) -> bytes:
        self._raise_error()
        return self.blobs[name][start : None if length is None else start + length]

    async def blob_size(self, name: str) -> int:
        if name not in self.blobs:
            raise NotFound("The file of this output is gone.", code="output_gone")
        return len(self.blobs[name])

    async def upload(self, data: bytes, *, role: PictureRole, param: str, caller: Caller) -> UploadedPicture:
        self._raise_error()
        self.uploads.append((data, role, caller.tenant_id))
        return UploadedPicture(
            upload_id=f"in_{len(self.uploads)}",
            role=role,
            width_px=60,
            height_px=40,
            size_bytes=len(data),
            kept_until_s=NOW_S + 60,
        )

    async def imported(self, picture: bytes | None, text: str, *, model: str | None) -> Imported:
        self._raise_error()
        notes = {"text": text if picture is None else picture.decode()}
        asked = None if model is None else self.card_of(model)
        return settings_in(notes, param="file", asked=asked, find=lambda _name: None)

    async def verify(self, data: bytes, *, caller: Caller) -> Verification:
        self._raise_error()
        digest = hashlib.sha256(data).hexdigest()
        return conclude(Inspection(sha256=digest, size_bytes=len(data), mime_type=mime_type_of(data)))

    def models(self) -> tuple[ModelStatus, ...]:
        return (ModelStatus(card=a_card(), is_available=True, is_resident=False, wait_s=1.5),)

    def style_names(self, model_id: str) -> tuple[str, ...]:
        return ("watercolor",)

    def model_named(self, reference: str) -> str:
        return reference.rpartition("/")[2]

    def readiness(self) -> Readiness:
        return self.readiness_now

    # --- what the test calls ---

    def move(self, job_id: JobId, state: JobState) -> None:
        """Tell watchers that the job entered `state`."""
        status = self.statuses[job_id]
        job = status.view.job.moved(state, now_s=NOW_S + len(status.view.job.timeline))
        view = replace(status.view, job=job, queue_position=None, phase=Phase.GENERATING)
        self._put(replace(status, view=view))

    def step(self, job_id: JobId, step: int, *, preview: bytes | None = JPEG) -> None:
        """Tell watchers about a step, with a preview of each picture."""
        status = self.statuses[job_id]
        status = replace(status, view=replace(status.view, step=step))
        self.statuses[job_id] = status
        self.feed.publish(job_id, lambda: ProgressUpdate(status=status))
        if preview is not None:
            for index in range(status.view.job.request.image_count):
                self.feed.publish(
                    job_id,
                    lambda index=index: PreviewUpdate(index=index, step=step, steps=status.view.steps, jpeg=preview),
                )

    def complete(self, job_id: JobId, picture: bytes = PICTURE) -> None:
        """Deliver `picture` for every picture asked for."""
        status = self.statuses[job_id]
        job = status.view.job
        while job.state is not JobState.POST_PROCESSING:
            following = {
                JobState.PENDING: JobState.DISPATCHED,
                JobState.DISPATCHED: JobState.RUNNING,
                JobState.RUNNING: JobState.POST_PROCESSING,
            }
            job = job.moved(following[job.state], now_s=NOW_S + 1.0)
        job = job.moved(JobState.COMPLETED, now_s=NOW_S + 2.0)
        digest = hashlib.sha256(picture).hexdigest()
        outputs = tuple(
            an_output(
                f"out_{job_id}_{index}",
                job=job_id,
                alignment=Alignment(score=0.75, missing=("boat",)),
                tenant=job.tenant_id,
                index=index,
                sha256=digest,
                size_bytes=len(picture),
                availability=Availability.HELD if self.is_held else Availability.DELIVERED,
                output_format=job.request.output_format,
                seed=(job.request.seed + index) % (SEED_MAX + 1),
            )
            for index in range(job.request.image_count)
        )
        for output in outputs:
            self.blobs |= {output.blob: picture, output.thumbnail_blob: THUMBNAIL}
        view = replace(status.view, job=job, phase=Phase.DONE, queue_position=None, eta_s=None, step=status.view.steps)
        self._put(replace(status, view=view, outputs=outputs, cost_micros=12))

    def end(self, job_id: JobId, state: JobState, code: str) -> None:
        """End the job without pictures."""
        status = self.statuses[job_id]
        job = status.view.job.moved(state, now_s=NOW_S + 2.0, failure=Failure(code=code, message="It ended early."))
        self._put(replace(status, view=replace(status.view, job=job, phase=Phase.DONE)))

    async def settle(self) -> None:
        """Let everybody in this event loop read what they were told."""
        for _ in range(50):
            await asyncio.sleep(0)

    async def until(self, condition: Callable[[], object]) -> None:
        """Return once `condition()` holds; it is looked at whenever something happens here."""
        async with asyncio.timeout(5):
            while not condition():
                self.something_happened.clear()
                await self.something_happened.wait()

    async def first_watched(self) -> JobId:
        """The job that somebody watches, as soon as there is one."""
        await self.until(self.feed.watched)
        return self.feed.watched()[0]

    def _put(self, status: JobStatus) -> None:
        job_id = status.view.job.job_id
        self.statuses[job_id] = status
        self.feed.publish(job_id, lambda: StatusUpdate(status=status))
        self._note()

    def _note(self) -> None:
        self.something_happened.set()

    def _raise_error(self) -> None:
        if self.error is not None:
            raise self.error
