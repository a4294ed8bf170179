import { describe, expect, it } from 'vitest'
import type { Job, Model } from '../api/types'
import { curlOf, draftOf, emptyDraft, fitTo, submissionOf } from './draft'

const model = {
  id: 'plain',
  tasks: ['t2i'],
  sizes: { default: '128x128', multiple: 8, side_min: 96, side_max: 160, pixels_max: 16384, only: ['128x128', '160x96'] },
  upscale: [2, 4],
  guidance: null,
  frames: null,
  supports_negative_prompt: false,
  styles: ['watercolor'],
} as unknown as Model

const job = {
  model: 'plain',
  request: {
    prompt: "a sailor's boat",
    negative_prompt: 'fog',
    width: 160,
    height: 96,
    steps: 8,
    guidance_scale: 3.5,
    seed: 7,
    n: 4,
    upscale: 1,
    frames: 1,
    quality: 'standard',
    style: 'watercolor',
    output_format: 'webp',
  },
} as unknown as Job

const clips = { ...model, id: 'clips', frames: { min: 8, max: 16, default: 12, per_second: 8 } } as unknown as Model

describe('a draft that starts from a picture', () => {
  const start = { id: 'in_1', strength: 0.4, url: 'blob:1' }
  const able = { ...model, tasks: ['t2i', 'i2i'] } as unknown as Model
  const editing = { ...model, tasks: ['edit'] } as unknown as Model

  it('names the picture, and a strength where the model has one', () => {
    const draft = { ...emptyDraft(), prompt: 'a boat', start, syntax: 'a1111' }
    expect(submissionOf(draft, able)).toMatchObject({ inputs: { image: 'in_1', strength: 0.4 }, prompt_syntax: 'a1111' })
    expect(submissionOf(draft, editing).inputs).toEqual({ image: 'in_1' })
    expect(submissionOf(emptyDraft(), able)).not.toHaveProperty('inputs')
  })

  it('keeps it for models that can, and loses it with the others', () => {
    expect(fitTo({ ...emptyDraft(), start }, able).start).toEqual(start)
    expect(fitTo({ ...emptyDraft(), start }, editing).start).toEqual(start)
    expect(fitTo({ ...emptyDraft(), start }, model).start).toBeNull()
  })
})

describe('a draft of a clip', () => {
  it('has the length and the format of a clip, and loses both with the model', () => {
    const still = { ...emptyDraft(), format: 'jpeg' as const }
    const clip = fitTo(still, clips)
    expect(clip).toMatchObject({ frames: '12', format: 'webp' })
    expect(submissionOf(clip)).toMatchObject({ frames: 12, output_format: 'webp' })
    expect(fitTo({ ...clip, format: 'gif' }, model)).toMatchObject({ frames: '', format: 'png' })
  })

  it('keeps what the model can make and mends what it cannot', () => {
    expect(fitTo({ ...emptyDraft(), frames: '9', format: 'png' }, clips)).toMatchObject({ frames: '9', format: 'png' })
    expect(fitTo({ ...emptyDraft(), frames: '99', format: 'gif' }, clips)).toMatchObject({ frames: '12', format: 'gif' })
  })

  it('sends a length that is none as it was typed', () => {
    expect(submissionOf({ ...emptyDraft(), frames: 'long' })).toMatchObject({ frames: 'long' })
  })

  it('makes a clip again with its frames', () => {
    const made = { ...job, model: 'clips', request: { ...job.request, frames: 16, output_format: 'gif' } } as unknown as Job
    expect(fitTo(draftOf(made), clips)).toMatchObject({ frames: '16', format: 'gif' })
  })
})

describe('a draft', () => {
  it('leaves to the server what is not filled in', () => {
    expect(submissionOf({ ...emptyDraft(), prompt: 'hills' })).toEqual({
      prompt: 'hills',
      n: 1,
      quality: 'standard',
      output_format: 'png',
    })
  })

  it('sends a number that is none as it was typed, for the server to name', () => {
    expect(submissionOf({ ...emptyDraft(), seed: 'abc', steps: ' 12 ' })).toMatchObject({ seed: 'abc', steps: 12 })
  })

  it('drops what a model does not have', () => {
    const draft = fitTo({ ...emptyDraft(), size: '512x512', negativePrompt: 'fog', guidance: '4', style: 'ink' }, model)
    expect(draft).toMatchObject({ model: 'plain', size: '128x128', negativePrompt: '', guidance: '', style: '' })
  })

  it('makes a job again, or one picture of its batch', () => {
    expect(submissionOf(fitTo(draftOf(job), model))).toEqual({
      prompt: "a sailor's boat",
      model: 'plain',
      size: '160x96',
      steps: 8,
      seed: 7,
      n: 4,
      quality: 'standard',
      style: 'watercolor',
      output_format: 'webp',
    })
    expect(submissionOf(draftOf(job, 9))).toMatchObject({ seed: 9, n: 1 })
  })

  it('asks for the size that is delivered, and comes back to the one that is made', () => {
    const draft = { ...emptyDraft(), size: '160x96', upscale: 4 }
    expect(submissionOf(fitTo(draft, model))).toMatchObject({ size: '640x384' })
    const large = { ...job, request: { ...job.request, width: 640, height: 384, upscale: 4 } }
    expect(draftOf(large)).toMatchObject({ size: '160x96', upscale: 4 })
    expect(submissionOf(fitTo(draftOf(large), { ...model, upscale: [2] }))).toMatchObject({ size: '160x96' })
  })

  it('becomes a command that a shell reads back unharmed', () => {
    expect(curlOf({ prompt: "a sailor's boat" }, 'http://localhost:8000/v1/jobs', true)).toBe(
      [
        'curl http://localhost:8000/v1/jobs \\',
        '  -H "Authorization: Bearer $HELIOGRAPH_KEY" \\',
        "  -H 'Content-Type: application/json' \\",
        `  -d '{"prompt":"a sailor'\\''s boat"}'`,
      ].join('\n'),
    )
  })
})
