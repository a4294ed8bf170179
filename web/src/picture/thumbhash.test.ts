import { describe, expect, it } from 'vitest'
import { decodeThumbHash } from './thumbhash'

/** Hashes and pixels of the format's published encoder and decoder: first, last of the first row, middle, last. */
const KNOWN = [
  {
    what: 'an opaque landscape',
    hash: 'WykObJSHh4h/iIiHiIWIj4j4iA==',
    size: [32, 18],
    pixels: [255, 164, 27, 255, 255, 147, 32, 255, 106, 108, 92, 255, 25, 92, 128, 255],
  },
  {
    what: 'an opaque square',
    hash: 'H/gJbxqAh4d/iIiIiIiHiIiISAh3gHgI',
    size: [32, 32],
    pixels: [37, 155, 255, 255, 255, 114, 253, 255, 115, 130, 109, 255, 255, 135, 10, 255],
  },
  {
    what: 'a portrait with transparent edges',
    hash: '2WqDBABG+IiHeIh4iH94+IeHcIp4eIiICA==',
    size: [26, 32],
    pixels: [223, 41, 39, 64, 223, 41, 39, 0, 223, 41, 39, 255, 223, 41, 39, 28],
  },
]

describe('decodeThumbHash', () => {
  it.each(KNOWN)('decodes $what', ({ hash, size, pixels }) => {
    const picture = decodeThumbHash(hash)
    if (picture === null) throw new Error('not decoded')
    const { width, height, rgba } = picture
    expect([width, height]).toEqual(size)
    const spots = [0, width - 1, (height >> 1) * width + (width >> 1), width * height - 1]
    const actual = spots.flatMap((spot) => [...rgba.slice(spot * 4, spot * 4 + 4)])
    // The published decoder cuts fractions off, ours rounds.
    const errors = actual.map((value, i) => Math.abs(value - (pixels[i] ?? NaN)))
    expect(Math.max(...errors)).toBeLessThanOrEqual(1)
  })

  it.each(['', '%%%', 'AAAA', 'AAAAAAAAAAA='])('turns %j down', (text) => {
    expect(decodeThumbHash(text)).toBeNull()
  })
})
