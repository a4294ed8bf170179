import { describe, expect, it } from 'vitest'
import type { Phase } from './api/types'
import { ago, change, clipLength, cost, duration, fileName, fileSize, fit, flags, ordinal, perDollar, shares, spread, wait, whereabouts } from './words'

describe('numbers for people', () => {
  it.each([
    [duration(0.0123), '12 ms'],
    [duration(0.234), '0.23 s'],
    [duration(0.998), '1.0 s'],
    [duration(4.24), '4.2 s'],
    [duration(9.96), '10 s'],
    [duration(59.7), '1 min'],
    [duration(200), '3 min 20 s'],
    [wait(0.2), 'any moment'],
    [wait(4.2), 'about 4 s'],
    [wait(200), 'about 3 min'],
    [spread({ low_s: 2.6, expected_s: 4.2, high_s: 7.1 }), 'most likely between 3 s and 7 s'],
    [spread({ low_s: 0.3, expected_s: 1.2, high_s: 2.1 }), 'most likely between now and 2 s'],
    [spread({ low_s: 0.3, expected_s: 0.5, high_s: 0.9 }), ''],
    [spread({ low_s: 4.1, expected_s: 4.2, high_s: 4.3 }), ''],
    [spread(null), ''],
    [clipLength(12, 8), '12 frames, 1.5 s'],
    [clipLength(16, 24), '16 frames, 0.7 s'],
    [shares({ object: 0.724, time: 1, style: 0.9 }), 'time 100 %, style 90 %, object 72 %'],
    [shares({}), ''],
    [ordinal(2), '2nd'],
    [ordinal(12), '12th'],
    [ordinal(23), '23rd'],
    [ordinal(111), '111th'],
    [cost(0), 'nothing'],
    [cost(12), '$0.000012'],
    [cost(120), '$0.00012'],
    [cost(1_234_567), '$1.23'],
    [perDollar(12), 'about 83,000 for a dollar'],
    [perDollar(20_000), null],
    [fileSize(999), '999 B'],
    [fileSize(2290), '2.3 kB'],
    [fileSize(17_700), '18 kB'],
    [ago(1000, 1030), 'just now'],
    [ago(0, 119), 'a minute ago'],
    [ago(0, 7300), '2 hours ago'],
    [ago(0, 90_000), 'yesterday'],
  ])('%s', (actual, expected) => {
    expect(actual).toBe(expected)
  })
})

describe('what is said of a picture', () => {
  it.each([
    [fit({ alignment: null, missing: [] }), []],
    [fit({ alignment: 0.934, missing: [] }), ['Matches the prompt: 93 %.']],
    [fit({ alignment: 0, missing: ['windmill', 'at night'] }), ['Matches the prompt: 0 %.', 'May not show: windmill, at night.']],
    [flags(['low_alignment', 'blank', 'of a newer server']), ['It is of one colour all over.']],
  ])('%j', (said, expected) => {
    expect(said).toEqual(expected)
  })
})

describe('whereabouts', () => {
  const job = { status: 'pending', phase: 'waiting' as Phase, queue_position: 3, progress: null, retry: null } as const
  const retry = { attempt: 2, of: 3, code: 'worker_lost', message: 'The worker crashed.' }

  it.each([
    [job, '3rd in line'],
    [{ ...job, queue_position: 1 }, 'Next in line'],
    [{ ...job, queue_position: null }, 'In line'],
    [{ ...job, phase: 'retrying' as Phase }, 'Trying once more'],
    [{ ...job, phase: 'retrying' as Phase, retry }, 'Retrying, attempt 2 of 3'],
    [{ ...job, phase: 'paused' as Phase }, 'Paused for a short one'],
    [{ ...job, phase: 'generating' as Phase, progress: { step: 2, steps: 8, fraction: 0.25 } }, 'Step 2 of 8'],
    [{ ...job, status: 'cancelled' as const }, 'Cancelled'],
  ])('%j', (actual, expected) => {
    expect(whereabouts(actual)).toBe(expected)
  })
})

it('says what was changed', () => {
  expect(change({ parameter: 'guidance_scale', requested: '12', used: '10', reason: '' })).toBe(
    'Guidance: 12 became 10',
  )
  expect(change({ parameter: 'prompt', requested: 'as typed', used: '{prompt}, watercolor', reason: '' })).toBe(
    'Prompt: as typed became your words, watercolor',
  )
  expect(change({ parameter: 'seed', requested: 'unset', used: '7', reason: '' })).toBe('Seed: set to 7')
})

describe('fileName', () => {
  it.each([
    ['A red boat, on the sea!', 'jpeg', 'a-red-boat-on-the-sea-7.jpg'],
    ['Горы / ночью', 'png', 'горы-ночью-7.png'],
    ['../../etc', 'webp', 'etc-7.webp'],
    ['🌅', 'png', 'picture-7.png'],
    ['very '.repeat(40), 'png', `${'very-'.repeat(9)}ver-7.png`],
  ])('%s', (prompt, format, expected) => {
    expect(fileName(prompt, 7, format)).toBe(expected)
  })
})
