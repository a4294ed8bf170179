import { describe, expect, it } from 'vitest'
import { EventParser, readEvents } from './sse'

const parse = (...pieces: string[]) => {
  const parser = new EventParser()
  return pieces.flatMap((piece) => parser.push(piece))
}

describe('EventParser', () => {
  it.each([
    ['a named event', ['event: done\ndata: {"a":1}\n\n'], [{ type: 'done', data: '{"a":1}' }]],
    ['an unnamed event', ['data: x\n\n'], [{ type: 'message', data: 'x' }]],
    ['several data lines', ['data: a\ndata: b\n\n'], [{ type: 'message', data: 'a\nb' }]],
    ['no space after the colon', ['data:x\n\n'], [{ type: 'message', data: 'x' }]],
    ['comments and other fields', [': keep-alive\n\nid: 7\nretry: 5\ndata: x\n\n'], [{ type: 'message', data: 'x' }]],
    ['a name without data', ['event: status\n\ndata: x\n\n'], [{ type: 'message', data: 'x' }]],
    ['carriage returns', ['event: a\r\ndata: x\r\n\r\ndata: y\r\r'], [{ type: 'a', data: 'x' }]],
    ['an unfinished event', ['data: x\n'], []],
  ])('reads %s', (_, pieces, events) => {
    expect(parse(...pieces)).toEqual(events)
  })

  it('does not care where the pieces are cut', () => {
    const text = 'event: a\r\ndata: 1\r\n\r\n: hi\n\nevent: b\ndata: 2\ndata: 3\n\n'
    expect(parse(...text)).toEqual(parse(text))
    expect(parse(text)).toEqual([
      { type: 'a', data: '1' },
      { type: 'b', data: '2\n3' },
    ])
  })
})

describe('readEvents', () => {
  it('joins characters that were cut in half and closes the connection when left early', async () => {
    const bytes = new TextEncoder().encode('data: Mönch\n\ndata: more\n\n')
    let isClosed = false
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(bytes.slice(0, 8))
        controller.enqueue(bytes.slice(8))
      },
      cancel() {
        isClosed = true
      },
    })
    for await (const event of readEvents(body, () => undefined)) {
      expect(event.data).toBe('Mönch')
      break
    }
    expect(isClosed).toBe(true)
  })
})
