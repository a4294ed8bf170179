/** One job on the stage, from the click that asked for it to its end. */

import type { Job, JobEvent, PreviewEvent, Submission } from '../api/types'

export class Entry {
  /** Stable over the entry's life, also before the server has given the job an id. It is the idempotency key as well. */
  readonly key: string
  /** Null when the page was opened on a job that was already under way. */
  readonly submission: Submission | null
  /** Size of the picture to come, in pixels: a guess until the server has answered. */
  frame = $state.raw({ width: 1, height: 1 })
  job = $state.raw<Job | null>(null)
  /** The newest preview of each picture. */
  previews = $state.raw<readonly (PreviewEvent | undefined)[]>([])
  /** When the job is expected to be over, in milliseconds since the epoch. */
  expectedAt = $state<number | null>(null)
  isCancelling = $state(false)
  readonly abort = new AbortController()

  constructor(key: string, submission: Submission | null) {
    this.key = key
    this.submission = submission
  }

  get prompt(): string {
    return this.job?.request.prompt ?? this.submission?.prompt ?? ''
  }

  get count(): number {
    return this.job?.request.n ?? this.submission?.n ?? 1
  }

  apply(event: JobEvent): void {
    if (event.type === 'preview') {
      const { preview } = event
      this.previews = Object.assign([...this.previews], { [preview.index]: preview })
    } else if (event.type === 'progress') {
      if (this.job === null) return
      const { step, steps, fraction, eta, eta_s, phase, queue_position } = event.progress
      this.job = { ...this.job, phase, queue_position, eta: eta ?? null, eta_s, progress: { step, steps, fraction } }
      this.#expect(eta_s)
    } else {
      // A job that starts over forms anew: what was seen of the earlier attempt is not what it will be.
      if (this.job !== null && event.job.attempt > this.job.attempt && this.job.attempt > 0) this.previews = []
      this.job = event.job
      this.frame = { width: event.job.request.width, height: event.job.request.height }
      this.#expect(event.job.eta_s)
    }
  }

  #expect(eta_s: number | null): void {
    this.expectedAt = eta_s === null ? null : Date.now() + eta_s * 1000
  }
}
