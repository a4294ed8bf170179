/**
 * Follow one job to its end, whatever the network does.
 *
 * Each round reads the event stream until it ends or falls silent, then asks for the job once. The stream starts with a
 * snapshot, so nothing is lost between rounds; and where a proxy swallows streams, the rounds themselves are polling.
 * A browser opens at most six connections to a host over HTTP/1.1, so only a few jobs stream at a time and the others
 * are polled until a place is free.
 */

import { ApiError, type Api, Unreachable } from './client'
import { type JobEvent, isOver } from './types'

const STREAMS_MAX = 3
const SILENCE_MS = 25_000
const FIRST_BYTES_MS = 5_000
const ROUND_MS = [300, 700, 1500, 2500] as const

let streams = 0

export interface Listener {
  event(event: JobEvent): void
  /** Nobody answers. Resolves when it is worth asking again. */
  away(): Promise<void>
}

/** Returns when the job has ended or `signal` aborts; throws the `ApiError` of a job that cannot be read. */
export async function follow(
  api: Pick<Api, 'events' | 'job'>,
  id: string,
  listener: Listener,
  signal: AbortSignal,
): Promise<void> {
  for (let quietRounds = 0; !signal.aborted; quietRounds++) {
    try {
      if (streams < STREAMS_MAX) {
        const outcome = await stream(api, id, listener, signal)
        if (outcome === 'done') return
        if (outcome === 'interrupted') quietRounds = 0
      }
      if (signal.aborted) return
      const job = await api.job(id, signal)
      listener.event({ type: isOver(job) ? 'done' : 'snapshot', job })
      if (isOver(job)) return
    } catch (error) {
      if (signal.aborted) return
      if (!(error instanceof Unreachable)) throw error
      await listener.away()
    }
    await pause(ROUND_MS[Math.min(quietRounds, ROUND_MS.length - 1)] ?? 0, signal)
  }
}

type Outcome = 'done' | 'interrupted' | 'nothing'

async function stream(api: Pick<Api, 'events'>, id: string, listener: Listener, signal: AbortSignal): Promise<Outcome> {
  const silence = new AbortController()
  let timer = setTimeout(() => silence.abort(), FIRST_BYTES_MS)
  const heard = (): void => {
    clearTimeout(timer)
    timer = setTimeout(() => silence.abort(), SILENCE_MS)
  }
  let outcome: Outcome = 'nothing'
  streams++
  try {
    for await (const event of api.events(id, AbortSignal.any([signal, silence.signal]), heard)) {
      listener.event(event)
      if (event.type === 'done') return 'done'
      outcome = 'interrupted'
    }
  } catch (error) {
    // A refused stream (too many, not supported by a proxy) is no reason to give up: asking for the job will tell.
    if (!(error instanceof Unreachable || error instanceof ApiError)) throw error
  } finally {
    streams--
    clearTimeout(timer)
  }
  return outcome
}

export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer)
      resolve()
    }
    const timer = setTimeout(finish, ms)
    signal?.addEventListener('abort', finish, { once: true })
  })
}
