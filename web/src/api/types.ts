/** The wire format of the HTTP API, as far as the page reads it. Times are seconds since the epoch or plain seconds. */

export type JobStatus =
  | 'pending'
  | 'dispatched'
  | 'running'
  | 'post_processing'
  | 'completed'
  | 'failed'
  | 'cancelled'
  | 'expired'

export type Phase = 'waiting' | 'loading_model' | 'paused' | 'retrying' | 'halted' | 'generating' | 'finishing' | 'done'

export type Quality = 'draft' | 'standard' | 'high'

export type OutputFormat = 'png' | 'jpeg' | 'webp' | 'gif' | 'mp4' | 'webm'

/** A browser plays it as a film; the others are pictures, which may move. */
export function isFilm(format: OutputFormat): boolean {
  return format === 'mp4' || format === 'webm'
}

export interface Progress {
  step: number
  steps: number
  fraction: number
}

/** Seconds until delivery: what is expected, and what holds the truth between them in four of five cases. */
export interface Eta {
  low_s: number
  expected_s: number
  high_s: number
}

export interface Adjustment {
  parameter: string
  requested: string
  used: string
  reason: string
}

export interface Output {
  id: string
  index: number
  url: string
  thumbnail_url: string
  bytes: number
  format: OutputFormat
  width: number
  height: number
  seed: number
  thumbhash: string
  /** Of a clip only. */
  frames?: number
  duration_s?: number
  verdict: { decision: string; reasons: string[] }
  /** How well it fits the prompt, from 0 to 1; null where nothing judged it. */
  alignment: number | null
  /** Phrases of the prompt that it does not seem to show. */
  missing: string[]
}

export interface JobRequest {
  prompt: string
  negative_prompt: string
  width: number
  height: number
  steps: number
  guidance_scale: number | null
  seed: number
  n: number
  /** How many times smaller than the picture the model made it. */
  upscale: number
  frames: number
  quality: Quality
  style: string | null
  output_format: OutputFormat
  output_quality: number | null
  /** The pictures it started from; null where it was made from words alone. */
  inputs: { images: { width: number; height: number }[]; has_mask: boolean; strength: number | null } | null
}

export interface Timings {
  queue_s?: number
  dispatch_s?: number
  run_s?: number
  post_processing_s?: number
  total_s?: number
}

export interface Job {
  id: string
  status: JobStatus
  phase: Phase
  model: string
  created_at: number
  queue_position: number | null
  eta?: Eta | null
  eta_s: number | null
  progress: Progress | null
  attempt: number
  retry: { attempt: number; of: number; code: string; message: string } | null
  request: JobRequest
  adjustments: Adjustment[]
  outputs: Output[]
  error: { code: string; message: string } | null
  timings: Timings
  cost_micros: number | null
}

export interface JobPage {
  data: Job[]
  has_more: boolean
  next_before: string | null
}

export interface ProgressEvent extends Progress {
  eta?: Eta | null
  eta_s: number | null
  phase: Phase
  queue_position: number | null
}

export interface PreviewEvent {
  index: number
  step: number
  mime_type: string
  b64: string
}

export type JobEvent =
  | { type: 'snapshot' | 'status' | 'done'; job: Job }
  | { type: 'progress'; progress: ProgressEvent }
  | { type: 'preview'; preview: PreviewEvent }

export interface SizeRule {
  default: string
  multiple: number
  side_min: number
  side_max: number
  pixels_max: number
  only: string[]
}

export interface FrameRule {
  min: number
  max: number
  default: number
  per_second: number
}

export interface Model {
  id: string
  name: string
  tasks: string[]
  available: boolean
  resident: boolean
  est_seconds: number | null
  sizes: SizeRule | null
  /** By how much its pictures may be enlarged. */
  upscale: number[]
  steps: { min: number; max: number; draft: number; standard: number; high: number } | null
  guidance: { min: number; max: number; default: number } | null
  /** Of models that make clips, and nothing else. */
  frames: FrameRule | null
  supports_negative_prompt: boolean | null
  token_limit: number | null
  styles: string[]
  licence: string | null
  limits: string | null
  domain: string | null
  weaknesses: string[]
  /** By attribute, the share of unseen prompts whose picture showed what was asked for. */
  adherence: Record<string, number>
  load_s: number | null
}

/** What `POST /v1/jobs` takes. A number the user mistyped goes out as the text it is, so that the server can name it. */
export interface Submission {
  prompt: string
  model?: string
  negative_prompt?: string
  size?: string
  steps?: number | string
  guidance_scale?: number | string
  seed?: number | string
  n?: number
  frames?: number | string
  quality?: Quality
  style?: string
  output_format?: OutputFormat
  prompt_syntax?: string
  inputs?: { image: string; strength?: number }
}

/** What `POST /v1/import` found in a picture, in the words of a submission. */
export interface Imported {
  source: string
  model: string | null
  found_model: string | null
  settings: {
    prompt?: string
    negative_prompt?: string
    size?: string
    steps?: number
    guidance_scale?: number
    seed?: number
    frames?: number
    prompt_syntax?: string
  }
  left_out: { name: string; value: string }[]
  adjustments: Adjustment[]
}

/** A picture stored by `POST /v1/inputs`. */
export interface StoredPicture {
  id: string
  width: number
  height: number
}

const ENDINGS: ReadonlySet<JobStatus> = new Set(['completed', 'failed', 'cancelled', 'expired'])

/** Nothing ever happens to this job again. */
export function isOver(job: Pick<Job, 'status'>): boolean {
  return ENDINGS.has(job.status)
}
