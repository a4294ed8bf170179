/** What stands in the form, and the two ways it turns into a request and back. */

import type { Job, Model, OutputFormat, Quality, Submission } from '../api/types'
import { parseSize, sizeChoices } from '../picture/sizes'

/** Texts are as typed; an empty one leaves the choice to the server. */
export interface Draft {
  prompt: string
  model: string
  /** What the model makes. */
  size: string
  /** How many times larger it is delivered. */
  upscale: number
  negativePrompt: string
  steps: string
  guidance: string
  seed: string
  n: number
  /** Empty where a still is made. */
  frames: string
  quality: Quality
  style: string
  format: OutputFormat
  /** The notation of the prompt, where it came from another tool; empty: found out by the server. */
  syntax: string
  /** The picture it starts from: an upload, how far the result may leave it, and where the page shows it from. */
  start: { id: string; strength: number; url: string } | null
}

export const SEED_MAX = 2 ** 32 - 1

export function emptyDraft(): Draft {
  return {
    prompt: '',
    model: '',
    size: '',
    upscale: 1,
    negativePrompt: '',
    steps: '',
    guidance: '',
    seed: '',
    n: 1,
    frames: '',
    quality: 'standard',
    style: '',
    format: 'png',
    syntax: '',
    start: null,
  }
}

/** The model can begin with a picture. */
export function startsFrom(model: Model): boolean {
  return ['i2i', 'edit', 'i2v'].some((task) => model.tasks.includes(task))
}

/** Moves the draft to `model` and drops what that model does not have. */
export function fitTo(draft: Draft, model: Model): Draft {
  const sizes = model.sizes ? sizeChoices(model.sizes).map((choice) => choice.value) : []
  return {
    ...draft,
    model: model.id,
    size: sizes.includes(draft.size) ? draft.size : (model.sizes?.default ?? ''),
    upscale: model.upscale.includes(draft.upscale) ? draft.upscale : 1,
    negativePrompt: model.supports_negative_prompt ? draft.negativePrompt : '',
    guidance: model.guidance ? draft.guidance : '',
    style: model.styles.includes(draft.style) ? draft.style : '',
    start: startsFrom(model) ? draft.start : null,
    ...lengthOf(draft, model),
  }
}

/** Formats the model's pictures or clips come in, the usual one first. */
export function formatsOf(model: Model | undefined): readonly OutputFormat[] {
  return model?.frames ? ['webp', 'gif', 'png'] : ['png', 'jpeg', 'webp']
}

/** Frames and format: those of the draft as far as the model has them; from a still to a clip and back they begin anew. */
function lengthOf(draft: Draft, model: Model): Pick<Draft, 'frames' | 'format'> {
  const rule = model.frames
  const formats = formatsOf(model)
  const staysSame = (draft.frames !== '') === (rule !== null)
  const format = staysSame && formats.includes(draft.format) ? draft.format : formats[0]!
  if (rule === null) return { frames: '', format }
  const frames = Number(draft.frames)
  return { frames: String(frames >= rule.min && frames <= rule.max ? frames : rule.default), format }
}

/** What to send. A number that is none is sent as it was typed: the server says what is wrong with it, by name. */
export function submissionOf(draft: Draft, model?: Model): Submission {
  const { start } = draft
  const hasStrength = model?.tasks.includes('i2i') ?? true
  return {
    prompt: draft.prompt,
    ...(draft.model && { model: draft.model }),
    ...(draft.negativePrompt.trim() && { negative_prompt: draft.negativePrompt }),
    ...(draft.size && { size: enlarged(draft.size, draft.upscale) }),
    ...(draft.steps.trim() && { steps: numberOrText(draft.steps) }),
    ...(draft.guidance.trim() && { guidance_scale: numberOrText(draft.guidance) }),
    ...(draft.seed.trim() && { seed: numberOrText(draft.seed) }),
    n: draft.n,
    ...(draft.frames.trim() && { frames: numberOrText(draft.frames) }),
    quality: draft.quality,
    ...(draft.style && { style: draft.style }),
    output_format: draft.format,
    ...(draft.syntax && { prompt_syntax: draft.syntax }),
    ...(start && { inputs: { image: start.id, ...(hasStrength && { strength: start.strength }) } }),
  }
}

/** The size as it is delivered: `256x256` for `128x128` twice as large. */
export function enlarged(size: string, factor: number): string {
  const made = parseSize(size)
  return made === null ? size : `${made.width * factor}x${made.height * factor}`
}

function numberOrText(typed: string): number | string {
  const number = Number(typed)
  return Number.isFinite(number) ? number : typed.trim()
}

/** The draft that makes the job's pictures again; with `seed`, just the one picture of the batch that has it. */
export function draftOf(job: Job, seed?: number): Draft {
  const { request } = job
  return {
    prompt: request.prompt,
    model: job.model,
    size: `${request.width / request.upscale}x${request.height / request.upscale}`,
    upscale: request.upscale,
    negativePrompt: request.negative_prompt,
    steps: String(request.steps),
    guidance: request.guidance_scale === null ? '' : String(request.guidance_scale),
    seed: String(seed ?? request.seed),
    n: seed === undefined ? request.n : 1,
    frames: request.frames > 1 ? String(request.frames) : '',
    quality: request.quality,
    style: request.style ?? '',
    format: request.output_format,
    syntax: '',
    start: null,
  }
}

/** Width and height the picture will have, as far as the draft tells. */
export function frameOf(submission: Submission, model: Model | undefined): { width: number; height: number } {
  return parseSize(submission.size ?? '') ?? parseSize(model?.sizes?.default ?? '') ?? { width: 1, height: 1 }
}

/** The job as a command line; `$HELIOGRAPH_KEY` stands for the key, which never leaves the page. */
export function curlOf(submission: Submission, endpoint: string, withKey: boolean): string {
  const quoted = `'${JSON.stringify(submission).replaceAll("'", String.raw`'\''`)}'`
  return [
    `curl ${endpoint}`,
    ...(withKey ? [`-H "Authorization: Bearer $HELIOGRAPH_KEY"`] : []),
    `-H 'Content-Type: application/json'`,
    `-d ${quoted}`,
  ].join(' \\\n  ')
}
