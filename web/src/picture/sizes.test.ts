import { describe, expect, it } from 'vitest'
import { sizeChoices } from './sizes'

const rule = { default: '512x512', multiple: 8, side_min: 96, side_max: 1024, pixels_max: 512 * 512, only: [] as string[] }
const values = (changes: Partial<typeof rule>) => sizeChoices({ ...rule, ...changes }).map((choice) => choice.value)

describe('sizeChoices', () => {
  it('offers what the model insists on and nothing else', () => {
    expect(values({ only: ['128x128', '160x96'] })).toEqual(['128x128', '160x96'])
  })

  it('puts the default first, then shapes of about as many pixels', () => {
    expect(values({})).toEqual(['512x512', '592x440', '440x592', '624x416', '416x624', '680x384', '384x680'])
  })

  it.each([
    { multiple: 64 },
    { side_max: 640 },
    { side_min: 448, pixels_max: 300_000 },
    { default: '1280x704', multiple: 32, side_max: 1280, pixels_max: 901_120 },
  ])('stays within %j', (changes) => {
    const limits = { ...rule, ...changes }
    for (const { width, height } of sizeChoices(limits)) {
      expect([width % limits.multiple, height % limits.multiple]).toEqual([0, 0])
      expect(Math.min(width, height)).toBeGreaterThanOrEqual(limits.side_min)
      expect(Math.max(width, height)).toBeLessThanOrEqual(limits.side_max)
      expect(width * height).toBeLessThanOrEqual(limits.pixels_max)
    }
  })
})
