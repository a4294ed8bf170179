/** Paints one preview after another on a canvas, each fading into the next, so that nothing ever flickers. */

import type { PreviewEvent } from '../api/types'

const FADE_MS = 260

export class Crossfade {
  readonly #canvas: HTMLCanvasElement
  #shown: ImageBitmap | null = null
  #newest = 0

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas
  }

  /** Resolves once the fade has begun, or at once if a newer preview has overtaken this one while it was decoded. */
  async show(preview: PreviewEvent): Promise<void> {
    const turn = ++this.#newest
    const bytes = Uint8Array.from(atob(preview.b64), (char) => char.charCodeAt(0))
    // Decoded from bytes rather than from a data: address, which a strict Content-Security-Policy would forbid.
    const next = await createImageBitmap(new Blob([bytes], { type: preview.mime_type })).catch(() => null)
    if (next === null || turn !== this.#newest) return
    const before = this.#shown
    this.#shown = next
    if (this.#canvas.width !== next.width || this.#canvas.height !== next.height) {
      this.#canvas.width = next.width
      this.#canvas.height = next.height
    }
    this.#paint(before, next, 0)
    const isCalm = matchMedia('(prefers-reduced-motion: reduce)').matches
    const start = performance.now()
    const frame = (now: number): void => {
      if (turn !== this.#newest) return
      const share = isCalm || before === null ? 1 : Math.min(1, Math.max(0, (now - start) / FADE_MS))
      this.#paint(before, next, share)
      if (share < 1) requestAnimationFrame(frame)
      else before?.close()
    }
    requestAnimationFrame(frame)
  }

  #paint(before: ImageBitmap | null, next: ImageBitmap, share: number): void {
    const context = this.#canvas.getContext('2d')
    if (context === null) return
    const { width, height } = this.#canvas
    context.globalAlpha = 1
    if (before !== null) context.drawImage(before, 0, 0, width, height)
    context.globalAlpha = share
    context.drawImage(next, 0, 0, width, height)
  }
}
