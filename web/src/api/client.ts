/** The page's only door to the server: the public HTTP API, at addresses relative to wherever the page was served from. */

import { readEvents } from './sse'
import type {
  Imported,
  Job,
  JobEvent,
  JobPage,
  Model,
  PreviewEvent,
  ProgressEvent,
  StoredPicture,
  Submission,
} from './types'

/** The server answered, and the answer is no. `param` names the field at fault, if one is. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly param: string | null = null,
    readonly code: string | null = null,
  ) {
    super(message)
  }
}

/** Nobody answered: no network, no server, or a proxy that has lost it. Trying again later can help. */
export class Unreachable extends Error {}

interface Problem {
  error?: { message?: string; param?: string | null; code?: string | null }
}

export interface ApiOptions {
  base: string
  key: () => string | null
  fetch: typeof fetch
}

export class Api {
  readonly #options: ApiOptions

  constructor(options: ApiOptions) {
    this.#options = options
  }

  /**
   * `path` as an address. The server names its own paths from its root (`/v1/…`); behind a proxy that strips a prefix
   * those are below the page's own folder.
   */
  address(path: string): string {
    const base = new URL(this.#options.base)
    const url = new URL(path, base)
    if (url.origin === base.origin && path.startsWith('/') && !url.pathname.startsWith(base.pathname)) {
      return new URL(path.slice(1), base).href
    }
    return url.href
  }

  async models(): Promise<Model[]> {
    return (await this.#json<{ data: Model[] }>('v1/models')).data
  }

  jobs(limit: number, before?: string): Promise<JobPage> {
    const query = new URLSearchParams({ limit: String(limit), ...(before === undefined ? {} : { before }) })
    return this.#json(`v1/jobs?${query}`)
  }

  job(id: string, signal?: AbortSignal): Promise<Job> {
    return this.#json(`v1/jobs/${id}`, signal ? { signal } : {})
  }

  /** The same `idempotencyKey` may be sent again after a broken connection: the server makes one job of it. */
  submit(body: Submission, idempotencyKey: string, signal: AbortSignal): Promise<Job> {
    return this.#json('v1/jobs', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': idempotencyKey },
      body: JSON.stringify(body),
      signal,
    })
  }

  cancel(id: string): Promise<Job> {
    return this.#json(`v1/jobs/${id}/cancel`, { method: 'POST' })
  }

  /** The settings in a picture's file, fitted to the model they name or else to `model`. */
  importSettings(file: File, model: string): Promise<Imported> {
    const body = new FormData()
    body.append('file', file)
    if (model) body.append('model', model)
    return this.#json('v1/import', { method: 'POST', body })
  }

  /** Stores a picture that later jobs start from. */
  upload(file: File): Promise<StoredPicture> {
    const body = new FormData()
    body.append('file', file)
    return this.#json('v1/inputs', { method: 'POST', body })
  }

  /** Any JSON answer; for pages that ask for much and say themselves what it is. */
  ask<T>(path: string, init: RequestInit = {}): Promise<T> {
    return this.#json<T>(path, init)
  }

  /** Resolves when the server is alive. */
  async alive(): Promise<void> {
    await this.#send('healthz')
  }

  async *events(id: string, signal: AbortSignal, onBytes: () => void): AsyncGenerator<JobEvent> {
    const response = await this.#send(`v1/jobs/${id}/events`, { headers: { accept: 'text/event-stream' }, signal })
    if (!response.body) throw new Unreachable('the event stream has no body')
    try {
      for await (const { type, data } of readEvents(response.body, onBytes)) {
        if (type === 'snapshot' || type === 'status' || type === 'done') yield { type, job: JSON.parse(data) as Job }
        else if (type === 'progress') yield { type, progress: JSON.parse(data) as ProgressEvent }
        else if (type === 'preview') yield { type, preview: JSON.parse(data) as PreviewEvent }
      }
    } catch (error) {
      throw new Unreachable('the event stream broke', { cause: error })
    }
  }

  async #json<T>(path: string, init: RequestInit = {}): Promise<T> {
    const response = await this.#send(path, init)
    try {
      return (await response.json()) as T
    } catch (error) {
      throw new Unreachable('the answer broke off', { cause: error })
    }
  }

  async #send(path: string, init: RequestInit = {}): Promise<Response> {
    const key = this.#options.key()
    const headers = new Headers(init.headers)
    if (key) headers.set('authorization', `Bearer ${key}`)
    let response: Response
    try {
      response = await this.#options.fetch(this.address(path), { ...init, headers, cache: 'no-store' })
    } catch (error) {
      throw new Unreachable('the server does not answer', { cause: error })
    }
    if (response.ok) return response
    const problem = (await response.json().catch(() => null)) as Problem | null
    const message = problem?.error?.message
    // A proxy without a server behind it answers in its own words, or in none.
    if (message === undefined && response.status >= 500) throw new Unreachable('the server is away')
    throw new ApiError(
      message ?? `The server answered ${response.status} ${response.statusText}.`,
      response.status,
      problem?.error?.param,
      problem?.error?.code,
    )
  }
}
