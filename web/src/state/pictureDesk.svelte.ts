/** Pictures that are dropped on the page: their settings fill the form, or they are what the next picture starts from. */

import { type Api, ApiError, Unreachable } from '../api/client'
import type { Imported, Model, StoredPicture } from '../api/types'
import { sizeChoices } from '../picture/sizes'
import { type Draft, enlarged, fitTo, startsFrom } from './draft'

/** What the desk needs of the studio. */
export interface Host {
  readonly api: Api
  draft: Draft
  readonly models: readonly Model[]
  readonly model: Model | undefined
  complaint: { message: string; param: string | null } | null
  announcement: string
}

const STRENGTH = 0.75

/** One line of what an import changed or could not take over. */
export interface Note {
  name: string
  text: string
}

export class PictureDesk {
  readonly #host: Host
  /** The settings that fill the form now, and where they are from. */
  imported = $state.raw<{ source: string; notes: readonly Note[]; file: File } | null>(null)
  isBusy = $state(false)

  constructor(host: Host) {
    this.#host = host
  }

  /** Reads the settings of a picture; one without any becomes what the next picture starts from. */
  async take(file: File): Promise<void> {
    await this.#busy(async () => {
      try {
        this.#fill(await this.#host.api.importSettings(file, this.#host.draft.model), file)
      } catch (error) {
        if (!(error instanceof ApiError && error.code === 'no_settings_found')) throw error
        await this.#startFrom(file)
      }
    })
  }

  /** Makes it what the next picture starts from, whatever settings it has. */
  async startFrom(file: File): Promise<void> {
    await this.#busy(() => this.#startFrom(file))
  }

  removeStart(): void {
    const { start } = this.#host.draft
    if (start) URL.revokeObjectURL(start.url)
    this.#host.draft = { ...this.#host.draft, start: null }
  }

  async #startFrom(file: File): Promise<void> {
    const host = this.#host
    const model = host.model && startsFrom(host.model) ? host.model : host.models.find((each) => each.available && startsFrom(each))
    if (!model) throw new ApiError('No model here can start from a picture.', 400)
    const stored = await host.api.upload(file)
    this.removeStart()
    this.imported = null
    const start = { id: stored.id, url: URL.createObjectURL(file), strength: STRENGTH }
    host.draft = fitTo({ ...host.draft, start, size: shapeOf(stored, model) ?? host.draft.size }, model)
    host.announcement = 'The next picture starts from this one'
  }

  #fill(found: Imported, file: File): void {
    const host = this.#host
    const { settings } = found
    const model = host.models.find((each) => each.available && each.id === found.model) ?? host.model
    const wanted: Draft = {
      ...host.draft,
      prompt: settings.prompt ?? '',
      syntax: settings.prompt_syntax ?? '',
      negativePrompt: settings.negative_prompt ?? '',
      steps: text(settings.steps),
      guidance: text(settings.guidance_scale),
      seed: text(settings.seed),
      frames: text(settings.frames),
      n: 1,
      style: '',
      ...sizeOf(settings.size, model),
    }
    host.draft = model ? fitTo(wanted, model) : wanted
    host.complaint = null
    const notes = found.adjustments.map((change) => ({
      name: change.parameter.replaceAll('_', ' '),
      text: `${change.requested} → ${change.used}`,
    }))
    const size = enlarged(host.draft.size, host.draft.upscale)
    if (settings.size && settings.size !== size) notes.push({ name: 'size', text: `${settings.size} → ${size}` })
    if (found.found_model && found.found_model !== model?.id) {
      notes.push({ name: 'model', text: `${found.found_model} → ${model?.name ?? 'none'}` })
    }
    const leftOut = found.left_out.map(({ name }) => name).join(', ')
    if (leftOut) notes.push({ name: 'left out', text: leftOut })
    this.imported = { source: found.source, notes, file }
    host.announcement = 'The form has the settings of the picture'
  }

  async #busy(work: () => Promise<void>): Promise<void> {
    this.isBusy = true
    try {
      await work()
    } catch (error) {
      if (error instanceof ApiError) this.#host.complaint = { message: error.message, param: error.param }
      else if (error instanceof Unreachable) this.#host.complaint = { message: 'The server does not answer.', param: null }
      else throw error
    } finally {
      this.isBusy = false
    }
  }
}

/** The size of the model that is closest to the picture's shape. */
function shapeOf(picture: StoredPicture, model: Model): string | undefined {
  const ratio = Math.log(picture.width / picture.height)
  const distance = ({ width, height }: { width: number; height: number }): number => Math.abs(Math.log(width / height) - ratio)
  const choices = model.sizes ? sizeChoices(model.sizes) : []
  return choices.toSorted((first, second) => distance(first) - distance(second))[0]?.value
}

function text(value: number | undefined): string {
  return value === undefined ? '' : String(value)
}

/** The size that the model makes, and by how much that is enlarged to the one that is wanted. */
function sizeOf(size: string | undefined, model: Model | undefined): Pick<Draft, 'size' | 'upscale'> {
  for (const factor of model?.upscale ?? []) {
    const made = size && enlarged(size, 1 / factor)
    if (made && model?.sizes?.only.includes(made)) return { size: made, upscale: factor }
  }
  return { size: size ?? '', upscale: 1 }
}
