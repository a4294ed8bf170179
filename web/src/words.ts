/** Numbers and states of the API, put into words for people. */

import type { Adjustment, Eta, Job, JobStatus, Output, Phase } from './api/types'

/** `0.23 s`, `4.2 s`, `17 s`, `3 min 20 s`. */
export function duration(seconds: number): string {
  if (seconds < 0.0995) return `${Math.round(seconds * 1000)} ms`
  if (seconds < 0.995) return `${seconds.toFixed(2)} s`
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  const [minutes, rest] = [Math.floor(whole / 60), whole % 60]
  return rest === 0 ? `${minutes} min` : `${minutes} min ${rest} s`
}

/** A wait that is only an estimate: `any moment`, `about 4 s`, `about 3 min`. */
export function wait(seconds: number): string {
  if (seconds < 0.75) return 'any moment'
  if (seconds < 90) return `about ${Math.max(1, Math.round(seconds))} s`
  return `about ${Math.round(seconds / 60)} min`
}

/** How sure the estimate is: `most likely between 3 s and 7 s`; nothing where that says nothing. */
export function spread(eta: Eta | null | undefined): string {
  if (!eta || eta.high_s < 1.5) return ''
  const [low, high] = [wait(eta.low_s), wait(eta.high_s)].map((each) => each.replace('about ', ''))
  return low === high ? '' : `most likely between ${low === 'any moment' ? 'now' : low} and ${high}`
}

export function ordinal(n: number): string {
  const teen = n % 100 >= 11 && n % 100 <= 13
  const suffix = teen ? 'th' : (['th', 'st', 'nd', 'rd'][n % 10] ?? 'th')
  return `${n}${suffix}`
}

/** Dollars with two decimals from one cent on, else with as many as it takes to show the amount. */
export function cost(micros: number): string {
  if (micros === 0) return 'nothing'
  const dollars = micros / 1e6
  return dollars >= 0.01 ? `$${dollars.toFixed(2)}` : `$${dollars.toFixed(6).replace(/0+$/, '')}`
}

/** How many such jobs a dollar buys, for amounts too small to picture: `about 83,000 for a dollar`. */
export function perDollar(micros: number): string | null {
  if (micros <= 0 || micros >= 10_000) return null
  const count = Number((1e6 / micros).toPrecision(2))
  return `about ${count.toLocaleString('en-US')} for a dollar`
}

export function fileSize(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(bytes < 1e4 ? 1 : 0)} kB`
  return `${(bytes / 1e6).toFixed(1)} MB`
}

const AGO: readonly [seconds: number, one: string, many: string][] = [
  [86_400, 'yesterday', 'days'],
  [3600, 'an hour ago', 'hours'],
  [60, 'a minute ago', 'minutes'],
]

/** `just now`, `5 minutes ago`, `yesterday`; both times in seconds since the epoch. */
export function ago(then: number, now: number): string {
  for (const [unit, one, many] of AGO) {
    const count = Math.floor((now - then) / unit)
    if (count === 1) return one
    if (count > 1) return `${count} ${many} ago`
  }
  return 'just now'
}

const PHASES: Record<Phase, string> = {
  waiting: 'In line',
  loading_model: 'Waking the model',
  halted: 'Paused by the operator',
  paused: 'Paused for a short one',
  retrying: 'Trying once more',
  generating: 'Forming',
  finishing: 'Finishing',
  done: 'Done',
}

const ENDED: Partial<Record<JobStatus, string>> = {
  completed: 'Ready',
  failed: 'Failed',
  cancelled: 'Cancelled',
  expired: 'Too late',
}

/** Where the job is, in a few words: `3rd in line`, `Waking the model`, `Step 2 of 8`. */
export function whereabouts(job: Pick<Job, 'status' | 'phase' | 'queue_position' | 'progress' | 'retry'>): string {
  const ended = ENDED[job.status]
  if (ended !== undefined) return ended
  if (job.phase === 'waiting' && job.queue_position !== null) {
    return job.queue_position <= 1 ? 'Next in line' : `${ordinal(job.queue_position)} in line`
  }
  if (job.phase === 'generating' && job.progress !== null && job.progress.step > 0) {
    return `Step ${job.progress.step} of ${job.progress.steps}`
  }
  if (job.phase === 'retrying' && job.retry !== null) {
    return `Retrying, attempt ${job.retry.attempt} of ${job.retry.of}`
  }
  return PHASES[job.phase]
}

const PARAMETERS: Record<string, string> = {
  negative_prompt: 'What to avoid',
  aspect_ratio: 'Shape',
  guidance_scale: 'Guidance',
  n: 'Number of pictures',
  frames: 'Length of the clip',
  output_format: 'File format',
  output_quality: 'File quality',
}

/** The name the page uses for an API parameter. */
export function parameterName(parameter: string): string {
  const plain = parameter.replaceAll('_', ' ')
  return PARAMETERS[parameter] ?? plain.charAt(0).toUpperCase() + plain.slice(1)
}

/** What was filled in or changed: `Seed: set to 7`, `Guidance: 12 became 10`. The reason is a sentence of its own. */
export function change({ parameter, requested, used }: Adjustment): string {
  const isFilledIn = ['', 'unset', 'null', 'none'].includes(requested.toLowerCase())
  // The server writes {prompt} for the prompt rather than repeating it.
  const outcome = used.replaceAll('{prompt}', 'your words')
  return `${parameterName(parameter)}: ${isFilledIn ? 'set to' : `${requested} became`} ${outcome}`
}

/** `12 frames, 1.5 s`. */
export function clipLength(frames: number, perSecond: number): string {
  return `${frames} frames, ${Number((frames / perSecond).toFixed(1))} s`
}

/** `time 98 %, object 72 %`, the best first. */
export function shares(adherence: Record<string, number>): string {
  return Object.entries(adherence)
    .sort(([, one], [, other]) => other - one)
    .map(([name, share]) => `${name} ${Math.round(share * 100)} %`)
    .join(', ')
}

/** How well a picture fits its prompt, as sentences; empty where nothing judged it. */
export function fit({ alignment, missing }: Pick<Output, 'alignment' | 'missing'>): string[] {
  if (alignment === null) return []
  const matches = `Matches the prompt: ${Math.round(alignment * 100)} %.`
  return missing.length > 0 ? [matches, `May not show: ${missing.join(', ')}.`] : [matches]
}

const FLAGS: Record<string, string> = {
  blank: 'It is of one colour all over.',
  wrong_size: 'It is not of the size asked for.',
  lanczos_upscale: 'It was enlarged by a plain filter, because the upscaler is not there.',
}

/** Why a picture was flagged, as sentences; what `fit` says already is left out. */
export function flags(reasons: readonly string[]): string[] {
  return reasons.flatMap((reason) => FLAGS[reason] ?? [])
}

/** A file name from the prompt and the seed that made the picture: `a-red-boat-on-the-sea-7.png`. */
export function fileName(prompt: string, seed: number, format: string): string {
  const words = prompt.toLowerCase().match(/[\p{L}\p{N}\p{M}]+/gu) ?? []
  const slug = [...words.join('-')].slice(0, 48).join('').replace(/-$/, '')
  return `${slug || 'picture'}-${seed}.${format === 'jpeg' ? 'jpg' : format}`
}
