/**
 * ThumbHash: a picture's colours and rough shapes in about 24 bytes, shown until the picture itself has arrived.
 *
 * The bytes hold a few cosine terms of four channels: lightness, yellow against blue, red against green and, for
 * pictures that have it, opacity. Five bytes of header give the mean and the scale of each channel (a sixth for
 * opacity), then every term takes four bits, lowest frequencies first. Decoding sums the cosines at every pixel and
 * turns the channels back into RGB.
 */

export interface Placeholder {
  width: number
  height: number
  /** Four bytes a pixel, row by row. */
  rgba: Uint8ClampedArray<ArrayBuffer>
}

interface Term {
  fx: number
  fy: number
  weight: number
}

interface Channel {
  mean: number
  terms: readonly Term[]
}

const SIDE_PX = 32

/** The placeholder that base64 `text` describes, its longer side 32 px; null if it is not a ThumbHash. */
export function decodeThumbHash(text: string): Placeholder | null {
  const hash = bytesOf(text)
  if (hash === null || hash.length < 6) return null
  const byte = (index: number): number => hash[index] ?? 0

  const means = byte(0) | (byte(1) << 8) | (byte(2) << 16)
  const shape = byte(3) | (byte(4) << 8)
  const hasAlpha = means >> 23 === 1
  const isLandscape = shape >> 15 === 1
  const longCount = hasAlpha ? 5 : 7
  const shortCount = shape & 7
  if (shortCount === 0) return null
  const columns = isLandscape ? longCount : shortCount
  const rows = isLandscape ? shortCount : longCount

  let nibble = (hasAlpha ? 6 : 5) * 2
  const terms = (columns: number, rows: number, scale: number): Term[] =>
    frequencies(columns, rows).map(([fx, fy]) => {
      const bits = (byte(nibble >> 1) >> ((nibble & 1) * 4)) & 15
      nibble++
      return { fx, fy, weight: 2 * scale * (bits / 7.5 - 1) }
    })
  // The terms follow one another in the bytes, so the channels are read in this order. Colour is stored at 0.8 of its scale.
  const light: Channel = {
    mean: (means & 63) / 63,
    terms: terms(Math.max(3, columns), Math.max(3, rows), ((means >> 18) & 31) / 31),
  }
  const yellow: Channel = {
    mean: ((means >> 6) & 63) / 31.5 - 1,
    terms: terms(3, 3, (1.25 * ((shape >> 3) & 63)) / 63),
  }
  const red: Channel = {
    mean: ((means >> 12) & 63) / 31.5 - 1,
    terms: terms(3, 3, (1.25 * ((shape >> 9) & 63)) / 63),
  }
  const opacity: Channel = hasAlpha
    ? { mean: (byte(5) & 15) / 15, terms: terms(5, 5, (byte(5) >> 4) / 15) }
    : { mean: 1, terms: [] }

  const ratio = columns / rows
  const width = Math.round(ratio > 1 ? SIDE_PX : SIDE_PX * ratio)
  const height = Math.round(ratio > 1 ? SIDE_PX / ratio : SIDE_PX)
  const rgba = new Uint8ClampedArray(width * height * 4)
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 4) {
      const u = (Math.PI * (x + 0.5)) / width
      const v = (Math.PI * (y + 0.5)) / height
      const [l, p, q, a] = [valueAt(light, u, v), valueAt(yellow, u, v), valueAt(red, u, v), valueAt(opacity, u, v)]
      const b = l - (2 / 3) * p
      const r = (3 * l - b + q) / 2
      rgba.set([255 * r, 255 * (r - q), 255 * b, 255 * a], at)
    }
  }
  return { width, height, rgba }
}

/** The triangle of low frequencies that the format keeps of a `columns` × `rows` transform, without the mean. */
function frequencies(columns: number, rows: number): [fx: number, fy: number][] {
  const kept: [number, number][] = []
  for (let fy = 0; fy < rows; fy++) {
    for (let fx = fy === 0 ? 1 : 0; fx * rows < columns * (rows - fy); fx++) kept.push([fx, fy])
  }
  return kept
}

function valueAt({ mean, terms }: Channel, u: number, v: number): number {
  return terms.reduce((sum, { fx, fy, weight }) => sum + weight * Math.cos(u * fx) * Math.cos(v * fy), mean)
}

function bytesOf(base64: string): Uint8Array | null {
  try {
    return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))
  } catch {
    return null
  }
}
