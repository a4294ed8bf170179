/** Everything the page knows and does: the catalogue, the form, the jobs on stage, the recent pictures. */

import { type Api, ApiError, Unreachable } from '../api/client'
import { follow, pause } from '../api/follow'
import { type Job, type Model, type Submission, isOver } from '../api/types'
import { whereabouts } from '../words'
import { type Draft, draftOf, emptyDraft, fitTo, frameOf, submissionOf } from './draft'
import { Entry } from './entry.svelte'
import { PictureDesk } from './pictureDesk.svelte'
import { forgetJob, openJobs, rememberJob } from './openJobs'
import { Session } from './session.svelte'

const PAGE_SIZE = 24
const REATTACHED_MAX = 4
const REFUSED_PAUSE_MS = 3000

/** What the server said is wrong with the form. `param` is null where it is about no field in particular. */
export interface Complaint {
  message: string
  param: string | null
}

export class Studio {
  readonly api: Api
  readonly session = new Session()
  readonly desk = new PictureDesk(this)
  models = $state.raw<readonly Model[]>([])
  isLoaded = $state(false)
  draft = $state<Draft>(emptyDraft())
  complaint = $state.raw<Complaint | null>(null)
  /** Newest first: every job of this tab that is under way, and the one that ended last. */
  stage = $state.raw<readonly Entry[]>([])
  /** Newest first: jobs that have ended. */
  recent = $state.raw<readonly Job[]>([])
  /** Where the next page of recent jobs starts; null when there is none. */
  next = $state<string | null>(null)
  /** Read out by screen readers whenever it changes. */
  announcement = $state('')

  constructor(makeApi: (key: () => string | null) => Api) {
    this.api = makeApi(() => this.session.key)
  }

  readonly model = $derived.by(() => this.models.find((model) => model.id === this.draft.model))
  /** Models that run here and draw from a prompt, stills first. */
  readonly usableModels = $derived.by(() => [...this.stillModels, ...this.clipModels])
  readonly stillModels = $derived.by(() => this.models.filter((model) => model.available && model.tasks.includes('t2i')))
  readonly clipModels = $derived.by(() => this.models.filter((model) => model.available && model.frames !== null))

  /** Reads the catalogue and the recent jobs, however long it takes, and takes up the jobs that are under way. */
  async open(): Promise<void> {
    this.session.isLockedOut = false
    for (;;) {
      try {
        const [models, page] = await Promise.all([this.api.models(), this.api.jobs(PAGE_SIZE)])
        this.models = models
        const model = this.model ?? this.usableModels[0]
        if (model) this.draft = fitTo(this.draft, model)
        this.recent = page.data.filter(isOver)
        this.next = page.has_more ? page.next_before : null
        this.isLoaded = true
        this.#reattach(page.data)
        return
      } catch (error) {
        this.#report(error)
        if (this.session.isLockedOut) return
        if (error instanceof Unreachable) await this.#whenBack()
        else await pause(REFUSED_PAUSE_MS)
      }
    }
  }

  async loadMore(): Promise<void> {
    if (this.next === null) return
    try {
      const page = await this.api.jobs(PAGE_SIZE, this.next)
      const known = new Set(this.recent.map((job) => job.id))
      this.recent = [...this.recent, ...page.data.filter((job) => isOver(job) && !known.has(job.id))]
      this.next = page.has_more ? page.next_before : null
    } catch (error) {
      this.#report(error)
    }
  }

  /** Looks for jobs that ended elsewhere while the page was out of sight. */
  async catchUp(): Promise<void> {
    if (!this.isLoaded || this.session.isLockedOut) return
    try {
      const page = await this.api.jobs(PAGE_SIZE)
      const known = new Set(this.recent.map((job) => job.id))
      const fresh = page.data.filter(isOver)
      const listed = new Set(fresh.map((job) => job.id))
      if (fresh.some((job) => known.has(job.id))) {
        this.recent = [...fresh, ...this.recent.filter((job) => !listed.has(job.id))]
      } else {
        // More than a page has happened: what we had no longer joins up with it.
        this.recent = fresh
        this.next = page.has_more ? page.next_before : null
      }
    } catch (error) {
      this.#report(error)
    }
  }

  /** A fresh copy of a job that has ended: its links to pictures carry a signature that expires. */
  async refresh(id: string): Promise<void> {
    try {
      const job = await this.api.job(id)
      this.recent = this.recent.map((other) => (other.id === id ? job : other))
      for (const entry of this.stage) if (entry.job?.id === id && isOver(job)) entry.job = job
    } catch (error) {
      this.#report(error)
    }
  }

  chooseModel(id: string): void {
    const model = this.models.find((candidate) => candidate.id === id)
    if (model) this.draft = fitTo(this.draft, model)
  }

  use(job: Job, seed?: number): void {
    const model = this.models.find((candidate) => candidate.id === job.model && candidate.available) ?? this.model
    const draft = draftOf(job, seed)
    this.draft = model ? fitTo(draft, model) : draft
    this.complaint = null
  }

  submitDraft(): void {
    if (this.draft.prompt.trim() === '') {
      this.complaint = { message: 'Say what the picture shows, in a few words.', param: 'prompt' }
      return
    }
    void this.submit(submissionOf(this.draft, this.model))
  }

  /** The job's request once more, seed included. */
  again(job: Job): void {
    if (job.request.inputs) {
      this.use(job)
      this.complaint = { message: 'This one started from a picture: add it again, then send.', param: null }
      return
    }
    const model = this.models.find((candidate) => candidate.id === job.model)
    void this.submit(submissionOf(model ? fitTo(draftOf(job), model) : draftOf(job)))
  }

  async submit(submission: Submission): Promise<void> {
    const model = this.models.find((candidate) => candidate.id === submission.model)
    const entry = new Entry(randomId(), submission)
    entry.frame = frameOf(submission, model)
    this.complaint = null
    this.stage = [entry, ...this.stage.filter((other) => other.job === null || !isOver(other.job))]
    this.announcement = 'Sent'
    const job = await this.#post(entry, submission)
    if (job === null) {
      this.stage = this.stage.filter((other) => other !== entry)
      return
    }
    entry.apply({ type: 'snapshot', job })
    await this.#watch(entry)
  }

  async cancel(entry: Entry): Promise<void> {
    if (entry.job === null) {
      entry.abort.abort()
      return
    }
    entry.isCancelling = true
    try {
      const job = await this.api.cancel(entry.job.id)
      // The event stream tells the same, a moment later.
      if (isOver(job)) entry.apply({ type: 'done', job })
    } catch (error) {
      this.#report(error)
    } finally {
      entry.isCancelling = false
    }
  }

  dismiss(entry: Entry): void {
    this.stage = this.stage.filter((other) => other !== entry)
  }

  /** Sends until somebody answers; null if the answer is no, or the user gave up. */
  async #post(entry: Entry, submission: Submission): Promise<Job | null> {
    while (!entry.abort.signal.aborted) {
      try {
        return await this.api.submit(submission, entry.key, entry.abort.signal)
      } catch (error) {
        if (entry.abort.signal.aborted) break
        if (!(error instanceof Unreachable)) {
          this.#report(error)
          return null
        }
        await Promise.race([this.#whenBack(), aborted(entry.abort.signal)])
        await pause(300, entry.abort.signal)
      }
    }
    this.announcement = 'Cancelled'
    return null
  }

  async #watch(entry: Entry): Promise<void> {
    const { job } = entry
    if (job === null) return
    rememberJob(job.id)
    let told = ''
    const tell = (): void => {
      const words = entry.job ? whereabouts({ ...entry.job, progress: null }) : ''
      if (words !== told) this.announcement = `${words}: ${entry.prompt}`
      told = words
    }
    tell()
    try {
      await follow(
        this.api,
        job.id,
        {
          event: (event) => {
            entry.apply(event)
            tell()
          },
          away: () => this.#whenBack(),
        },
        entry.abort.signal,
      )
    } catch (error) {
      this.#report(error)
      this.dismiss(entry)
    }
    forgetJob(job.id)
    const ended = entry.job
    if (ended && isOver(ended)) this.recent = [ended, ...this.recent.filter((other) => other.id !== ended.id)]
  }

  /** Puts this tab's jobs back on stage after a reload; in a new tab, a few that are under way anyway. */
  #reattach(newest: readonly Job[]): void {
    const ours = new Set(openJobs())
    const known = new Set(this.stage.map((entry) => entry.job?.id))
    const entries = newest
      .filter((job) => !known.has(job.id) && (ours.size > 0 ? ours.has(job.id) : !isOver(job)))
      .slice(0, REATTACHED_MAX)
      .map((job) => {
        const entry = new Entry(job.id, null)
        entry.apply({ type: 'snapshot', job })
        return entry
      })
    ours.forEach(forgetJob)
    this.stage = [...this.stage, ...entries]
    for (const entry of entries) void this.#watch(entry)
  }

  #whenBack(): Promise<void> {
    return this.session.whenBack(this.api)
  }

  /** Brings whatever went wrong to where the user sees it: the sign-in panel, the connection banner, or a complaint. */
  #report(error: unknown): void {
    if (error instanceof Unreachable) void this.#whenBack()
    else if (error instanceof ApiError && error.status === 401) this.session.isLockedOut = true
    else if (error instanceof ApiError) this.complaint = { message: error.message, param: error.param }
    else throw error
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

/** A random UUID's worth of chance; `crypto.randomUUID` exists on https and localhost only. */
function randomId(): string {
  if ('randomUUID' in crypto) return crypto.randomUUID()
  return Array.from((crypto as Crypto).getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
