/** Which sizes to offer for a model: the ones it insists on, or well-known shapes that fit its rules. */

import type { SizeRule } from '../api/types'

export interface SizeChoice {
  /** What the API takes, such as `160x96`. */
  value: string
  width: number
  height: number
}

const SHAPES = [
  [1, 1],
  [4, 3],
  [3, 4],
  [3, 2],
  [2, 3],
  [16, 9],
  [9, 16],
] as const

export function sizeChoices(rule: SizeRule): SizeChoice[] {
  const only = rule.only.flatMap((size) => parseSize(size) ?? [])
  if (only.length > 0) return only
  const standard = parseSize(rule.default)
  if (standard === null) return []
  const pixels = Math.min(standard.width * standard.height, rule.pixels_max)
  const fitting = SHAPES.flatMap(([across, down]) => fit(across / down, pixels, rule) ?? [])
  const choices = new Map([standard, ...fitting].map((choice) => [choice.value, choice]))
  return [...choices.values()]
}

export function parseSize(size: string): SizeChoice | null {
  const match = /^(\d+)x(\d+)$/.exec(size)
  return match ? { value: size, width: Number(match[1]), height: Number(match[2]) } : null
}

/** A legal size with about `pixels` pixels and sides as `ratio`, or null where the rules leave no such shape. */
function fit(ratio: number, pixels: number, rule: SizeRule): SizeChoice | null {
  const side = (ideal: number): number =>
    Math.min(
      Math.floor(rule.side_max / rule.multiple) * rule.multiple,
      Math.max(Math.ceil(rule.side_min / rule.multiple) * rule.multiple, Math.round(ideal / rule.multiple) * rule.multiple),
    )
  let width = side(Math.sqrt(pixels * ratio))
  let height = side(Math.sqrt(pixels / ratio))
  if (width * height > rule.pixels_max) {
    if (ratio >= 1) width -= rule.multiple
    else height -= rule.multiple
  }
  const isLegal = Math.min(width, height) >= rule.side_min && width * height <= rule.pixels_max
  const isThatShape = Math.abs(Math.log(width / height / ratio)) < 0.12
  return isLegal && isThatShape ? { value: `${width}x${height}`, width, height } : null
}
