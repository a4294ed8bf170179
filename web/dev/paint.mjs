// Little landscapes for the mock server: sky, sun, hills, as RGB bytes, and a PNG encoder for them.

import { crc32, deflateSync } from 'node:zlib'

const SCENES = [
  { words: /night|star/, sky: [[14, 18, 44], [52, 58, 104]], sun: [236, 236, 214], land: [[38, 44, 66], [22, 26, 40]] },
  { words: /sunset|evening/, sky: [[92, 74, 130], [250, 160, 88]], sun: [255, 226, 150], land: [[96, 62, 84], [48, 36, 58]] },
  { words: /desert|noon|sand/, sky: [[86, 158, 214], [214, 228, 224]], sun: [255, 246, 204], land: [[222, 180, 112], [190, 138, 78]] },
  { words: /mist|fog|snow/, sky: [[150, 170, 190], [226, 228, 226]], sun: [250, 246, 232], land: [[158, 176, 176], [98, 126, 122]] },
  { words: /./, sky: [[70, 132, 196], [190, 218, 230]], sun: [255, 240, 190], land: [[92, 140, 92], [48, 92, 66]] },
]

const mix = (a, b, share) => a.map((value, i) => value + (b[i] - value) * share)

/** A repeatable stream of numbers from 0 to 1. */
export function chance(seed) {
  let state = (seed ^ 0x9e3779b9) >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** The picture of `prompt` and `seed`, `clarity` from 0 (noise) to 1 (done): height × width × 3 bytes. */
export function paint({ prompt, seed, width, height, clarity }) {
  const scene = SCENES.find(({ words }) => words.test(prompt.toLowerCase()))
  const random = chance(seed)
  const [sunX, sunY, sunR] = [0.2 + 0.6 * random(), 0.2 + 0.3 * random(), 0.06 + 0.05 * random()]
  const hills = [0.56, 0.72].map((level) => {
    const waves = Array.from({ length: 4 }, (_, k) => [random() * 6.3, (0.07 * random()) / (k + 1), 2.3 * (k + 1) + random()])
    return (x) => level + waves.reduce((sum, [phase, height, rate]) => sum + height * Math.sin(phase + x * rate * 3), 0)
  })
  const noise = chance(seed + 1)
  const pixels = Buffer.alloc(width * height * 3)
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 3) {
      const [u, v] = [x / width, y / height]
      let colour = mix(scene.sky[0], scene.sky[1], Math.min(1, v / 0.65))
      const away = Math.hypot((u - sunX) * (width / height), v - sunY)
      colour = mix(colour, scene.sun, away < sunR ? 1 : 0.5 * Math.max(0, 1 - (away - sunR) / 0.25) ** 2)
      hills.forEach((hill, i) => {
        if (v > hill(u)) colour = mix(scene.land[i], [0, 0, 0], 0.35 * (v - hill(u)))
      })
      const grain = (1 - clarity) * 0.85
      for (let c = 0; c < 3; c++) pixels[at + c] = colour[c] * (1 - grain) + 255 * noise() * grain
    }
  }
  return pixels
}

export function png(width, height, rgb) {
  const rows = Buffer.alloc(height * (1 + width * 3))
  for (let y = 0; y < height; y++) rgb.copy(rows, y * (1 + width * 3) + 1, y * width * 3, (y + 1) * width * 3)
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data])
    const framed = Buffer.alloc(body.length + 8)
    framed.writeUInt32BE(data.length)
    body.copy(framed, 4)
    framed.writeUInt32BE(crc32(body) >>> 0, body.length + 4)
    return framed
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, 2, 0, 0, 0], 8)
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ])
}
