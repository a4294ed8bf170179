import { describe, expect, it } from 'vitest'
import { ApiError, Unreachable } from './client'
import { follow } from './follow'
import type { Job, JobEvent, JobStatus } from './types'

const aJob = (status: JobStatus) => ({ id: 'job_1', status }) as Job

/** An API whose event streams and single reads are played from a script, one entry a call. */
function scripted(streams: (JobEvent | Error)[][], reads: (JobStatus | Error)[]) {
  return {
    async *events(): AsyncGenerator<JobEvent> {
      for (const event of streams.shift() ?? []) {
        if (event instanceof Error) throw event
        yield event
      }
    },
    job(): Promise<Job> {
      const next = reads.shift() ?? new Error('read once too often')
      return next instanceof Error ? Promise.reject(next) : Promise.resolve(aJob(next))
    },
  }
}

async function seen(streams: (JobEvent | Error)[][], reads: (JobStatus | Error)[]): Promise<string[]> {
  const log: string[] = []
  await follow(
    scripted(streams, reads),
    'job_1',
    {
      event: (event) => log.push('job' in event ? `${event.type} ${event.job.status}` : event.type),
      away: () => Promise.resolve(void log.push('away')),
    },
    new AbortController().signal,
  )
  return log
}

const snapshot: JobEvent = { type: 'snapshot', job: aJob('pending') }
const done: JobEvent = { type: 'done', job: aJob('completed') }

describe('follow', () => {
  it('ends with the stream', async () => {
    expect(await seen([[snapshot, done]], [])).toEqual(['snapshot pending', 'done completed'])
  })

  it('takes the stream up again when it breaks', async () => {
    expect(await seen([[snapshot, new Unreachable()], [snapshot, done]], ['running'])).toEqual([
      'snapshot pending',
      'snapshot running',
      'snapshot pending',
      'done completed',
    ])
  })

  it('polls where streams are refused', async () => {
    const refused = new ApiError('too many streams', 429)
    expect(await seen([[refused], [refused]], ['running', 'failed'])).toEqual(['snapshot running', 'done failed'])
  })

  it('waits while nobody answers', async () => {
    expect(await seen([[new Unreachable()], [done]], [new Unreachable()])).toEqual(['away', 'done completed'])
  })

  it('gives up on a job that cannot be read', async () => {
    await expect(seen([[]], [new ApiError('no such job', 404)])).rejects.toThrow('no such job')
  })
})
