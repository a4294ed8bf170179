// A stand-in for the server, for working on the page without Python: the jobs API with invented pictures, and the built
// page under a strict Content-Security-Policy. Nothing is kept.
//
//   node dev/mock.mjs [--port 8010] [--prefix /studio] [--key hg_dev] [--pace 1]
//
// `--pace 3` takes three times as long. Words in a prompt cause trouble on purpose: "fail" fails, "drop" breaks the event
// stream every few steps, "retry" loses its worker half-way, "nostream" refuses the event stream.

import { createHash, randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { parseArgs } from 'node:util'
import { paint, png } from './paint.mjs'

const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '8010' },
    prefix: { type: 'string', default: '' },
    key: { type: 'string' },
    pace: { type: 'string', default: '1' },
  },
})
const RETRY = { attempt: 2, of: 3, code: 'worker_lost', message: 'The worker crashed.' }
const PACE = Number(options.pace)
const PAGE = new URL('../../src/heliograph/gateway/page/', import.meta.url).pathname
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' }
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'"
const THUMBHASHES = { square: 'WUgOLwaGeHh/iIeCd1h4h4iHZ5gHeIsA', wide: 'WUgOLIaHeHh/iIeCd4WHeYC4CA==' }

const cards = [
  ['helio-base', 'Helio base', true, { only: ['128x128', '160x96', '96x160'], default: '128x128' }],
  ['helio-free', 'Helio free size', true, { only: [], default: '512x512' }],
  ['helio-motion', 'Helio motion', true, { only: ['128x128'], default: '128x128' }],
  ['flux-1-schnell', 'FLUX.1 schnell', false, { only: [], default: '1024x1024' }],
  ['sdxl-base', 'Stable Diffusion XL', false, { only: [], default: '1024x1024' }],
]
const models = cards.map(([id, name, available, sizes], i) => ({
  id,
  object: 'model',
  created: 0,
  owned_by: 'heliograph',
  name,
  family: id.split('-')[0],
  tasks: [id === 'helio-motion' ? 't2v' : 't2i'],
  available,
  resident: i === 0,
  est_seconds: 0.3,
  sizes: { multiple: 8, side_min: 96, side_max: 1024, pixels_max: 1048576, ...sizes },
  steps: { min: 1, max: 50, draft: 4, standard: 8, high: 20 },
  guidance: available ? { min: 1, max: 10, default: 3.5 } : null,
  frames: id === 'helio-motion' ? { min: 8, max: 16, default: 12, per_second: 8 } : null,
  supports_negative_prompt: i === 0,
  token_limit: 32,
  styles: i === 0 ? ['watercolor', 'line-art', 'pixel-art'] : [],
  upscale: i === 0 ? [2, 4] : [],
  licence: 'Apache-2.0',
  limits: i === 0 ? 'Small landscapes only: sea, hills, mountains, forest, desert, city.' : null,
  domain: i === 0 ? 'Landscapes by time of day and weather, with one object.' : null,
  weaknesses: i === 0 ? ['Thin lines break up.'] : [],
  adherence: i === 0 ? { time: 1, terrain: 0.98, object: 0.72 } : {},
  alternatives: [],
  vram_bytes: null,
  load_s: 0.4,
}))

const jobs = []
const pictures = new Map()
const now = () => Date.now() / 1000
const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000 * PACE))
const isOver = (job) => ['completed', 'failed', 'cancelled', 'expired'].includes(job.status)

function create(body) {
  const [width, height] = (body.size ?? '128x128').split('x').map(Number)
  const seed = body.seed ?? Math.floor(Math.random() * 2 ** 32)
  const steps = body.steps ?? { draft: 4, standard: 8, high: 20 }[body.quality ?? 'standard']
  const id = `job_${randomUUID().slice(0, 12)}`
  const job = {
    id,
    object: 'job',
    status: 'pending',
    phase: 'waiting',
    model: body.model ?? 'helio-base',
    created_at: now(),
    started_at: null,
    completed_at: null,
    queue_position: 3,
    eta_s: 4.2 * PACE,
    progress: null,
    attempt: 0,
    retry: null,
    request: {
      prompt: body.prompt,
      negative_prompt: body.negative_prompt ?? '',
      width,
      height,
      steps,
      guidance_scale: body.guidance_scale ?? 3.5,
      seed,
      n: body.n ?? 1,
      upscale: [512, 640, 384].includes(width) ? 4 : [256, 320, 192].includes(width) ? 2 : 1,
      frames: body.frames ?? 1,
      quality: body.quality ?? 'standard',
      style: body.style ?? null,
      output_format: body.output_format ?? 'png',
      output_quality: null,
    },
    adjustments: [
      ...(body.seed === undefined
        ? [{ parameter: 'seed', requested: 'unset', used: String(seed), reason: 'No seed was given, so one was drawn.' }]
        : []),
      ...(body.steps === undefined
        ? [{ parameter: 'steps', requested: 'unset', used: String(steps), reason: `Quality ${body.quality} of this model.` }]
        : []),
    ],
    outputs: [],
    error: null,
    timings: {},
    cost_micros: null,
    urls: { self: `/v1/jobs/${id}`, events: `/v1/jobs/${id}/events`, cancel: `/v1/jobs/${id}/cancel` },
  }
  Object.defineProperty(job, 'listeners', { value: new Set() })
  jobs.unshift(job)
  void run(job)
  return job
}

function tell(job, event, data = job) {
  for (const listener of job.listeners) listener(event, data)
}

function end(job, status, error = null) {
  if (isOver(job)) return
  Object.assign(job, { status, phase: 'done', error, completed_at: now(), queue_position: null, eta_s: null })
  tell(job, 'done')
}

async function run(job) {
  const { prompt, steps, n, seed, width, height } = job.request
  const draw = (index, clarity) => png(width, height, paint({ prompt, seed: seed + index, width, height, clarity }))
  for (const place of [3, 2, 1]) {
    Object.assign(job, { queue_position: place, eta_s: (1.2 + place) * PACE })
    tell(job, 'progress', { step: 0, steps, fraction: 0, eta_s: job.eta_s, phase: 'waiting', queue_position: place })
    await sleep(0.5)
  }
  for (let attempt = 1; attempt <= 2; attempt++) {
    if (isOver(job)) return
    Object.assign(job, { status: 'dispatched', phase: 'loading_model', queue_position: null, eta_s: 2 * PACE, attempt })
    tell(job, 'status')
    await sleep(0.5)
    if (isOver(job)) return
    Object.assign(job, { status: 'running', phase: 'generating', started_at: now() })
    tell(job, 'status')
    for (let step = 1; step <= steps; step++) {
      await sleep(1.6 / steps)
      if (isOver(job)) return
      job.progress = { step, steps, fraction: step / steps }
      job.eta_s = ((steps - step) * 1.6 * PACE) / steps
      tell(job, 'progress', { ...job.progress, eta_s: job.eta_s, phase: 'generating', queue_position: null })
      for (let index = 0; index < n; index++) {
        const b64 = draw(index, (step / steps) ** 0.7).toString('base64')
        tell(job, 'preview', { index, step, mime_type: 'image/png', b64 })
      }
      if (prompt.includes('drop') && step % 3 === 0) tell(job, null)
      if (prompt.includes('fail') && step * 2 >= steps) {
        return end(job, 'failed', {
          code: 'engine_out_of_memory',
          message: 'The model ran out of memory three times. A smaller size or fewer pictures may fit.',
        })
      }
      if (prompt.includes('retry') && attempt === 1 && step * 2 >= steps) break
    }
    if (job.progress.fraction === 1) break
    Object.assign(job, { status: 'pending', phase: 'retrying', progress: null, retry: RETRY })
    tell(job, 'status')
    await sleep(0.8)
  }
  Object.assign(job, { status: 'post_processing', phase: 'finishing', eta_s: 0.1 })
  tell(job, 'status')
  await sleep(0.2)
  if (isOver(job)) return
  job.outputs = Array.from({ length: n }, (_, index) => {
    const bytes = draw(index, 1)
    const id = `out_${randomUUID().slice(0, 12)}`
    pictures.set(id, bytes)
    return {
      id,
      index,
      url: `/v1/outputs/${id}?signature=mock`,
      thumbnail_url: `/v1/outputs/${id}?variant=thumbnail&signature=mock`,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      bytes: bytes.length,
      format: job.request.output_format,
      width,
      height,
      seed: (seed + index) % 2 ** 32,
      thumbhash: width === height ? THUMBHASHES.square : THUMBHASHES.wide,
      verdict: { decision: 'accept', reasons: [] },
      alignment: 0.93,
      missing: prompt.includes('windmill') ? ['windmill'] : [],
    }
  })
  job.timings = { queue_s: 1.5, dispatch_s: 0.012, run_s: 2.1, post_processing_s: 0.21, total_s: 3.822 }
  job.cost_micros = 12 * n
  end(job, 'completed')
}

function refuse(response, status, param, code, message) {
  response.writeHead(status, { 'content-type': 'application/problem+json' })
  response.end(JSON.stringify({ error: { message, type: 'invalid_request_error', param, code }, status, detail: message }))
}

function answer(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

async function submit(request, response) {
  let text = ''
  for await (const piece of request) text += piece
  const body = JSON.parse(text)
  const number = (field, min, max) => {
    const value = body[field]
    if (value === undefined || (typeof value === 'number' && value >= min && value <= max)) return true
    refuse(response, 400, field, `invalid_${field}`, `${field} must be a number from ${min} to ${max}; got ${value}.`)
    return false
  }
  if (!number('steps', 1, 50) || !number('seed', 0, 2 ** 32 - 1) || !number('guidance_scale', 1, 10)) return
  if (body.prompt.length > 400) return refuse(response, 400, 'prompt', 'prompt_too_long', 'The prompt has more than 400 characters.')
  if (body.prompt.includes('full')) return refuse(response, 429, null, 'queue_full', 'The queue is full. Try again in a minute.')
  answer(response, 201, create(body))
}

function stream(job, response) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  const send = (event, data) => {
    if (event === null) return response.destroy()
    response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
    if (event === 'done') response.end()
  }
  send('snapshot', job)
  if (isOver(job)) return send('done', job)
  job.listeners.add(send)
  const beat = setInterval(() => response.write(': keep-alive\n\n'), 10_000)
  response.on('close', () => {
    clearInterval(beat)
    job.listeners.delete(send)
  })
}

async function page(path, response) {
  const file = join(PAGE, normalize(path === '/' ? '/index.html' : path))
  try {
    const bytes = await readFile(file)
    response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'text/plain', 'content-security-policy': POLICY })
    response.end(bytes)
  } catch {
    refuse(response, 404, null, 'not_found', 'There is no such page.')
  }
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, 'http://mock')
  if (!url.pathname.startsWith(`${options.prefix}/`)) return refuse(response, 404, null, 'not_found', 'Wrong prefix.')
  const path = url.pathname.slice(options.prefix.length)
  const [, , kind, id, action] = path.split('/')
  if (path === '/healthz') return answer(response, 200, { status: 'ok' })
  if (!path.startsWith('/v1/')) return page(path, response)
  if (kind === 'outputs') {
    const bytes = pictures.get(id)
    response.writeHead(bytes ? 200 : 404, { 'content-type': 'image/png', 'cache-control': 'private, immutable' })
    return response.end(bytes)
  }
  if (options.key && request.headers.authorization !== `Bearer ${options.key}`) {
    return refuse(response, 401, null, 'invalid_api_key', 'No API key was sent, or it is unknown.')
  }
  if (kind === 'models') return answer(response, 200, { object: 'list', data: models })
  if (kind === 'jobs' && !id && request.method === 'POST') return submit(request, response)
  if (kind === 'jobs' && !id) {
    const limit = Number(url.searchParams.get('limit') ?? 20)
    const start = Number(url.searchParams.get('before') ?? 0)
    const data = jobs.slice(start, start + limit)
    const more = start + limit < jobs.length
    return answer(response, 200, { object: 'list', data, has_more: more, next_before: more ? String(start + limit) : null })
  }
  const job = jobs.find((candidate) => candidate.id === id)
  if (!job) return refuse(response, 404, null, 'not_found', 'There is no such job.')
  if (action === 'cancel') end(job, 'cancelled', { code: 'cancelled', message: 'Cancelled on request.' })
  if (action === 'events' && job.request.prompt.includes('nostream')) return refuse(response, 429, null, 'too_many_streams', 'Too many.')
  if (action === 'events') return stream(job, response)
  answer(response, 200, job)
})

server.listen(Number(options.port), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${options.port}${options.prefix}/`)
})
