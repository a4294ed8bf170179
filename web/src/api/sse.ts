/**
 * Server-sent events from a byte stream, by the rules of the HTML standard. The browser's own EventSource cannot send an
 * Authorization header, hence this parser. Comments and the fields `id` and `retry` are read over: the server's stream
 * starts with a snapshot each time, so there is nothing to resume.
 */

export interface ServerEvent {
  type: string
  data: string
}

/** Feed it text in pieces of any size; it gives back the events that each piece completes. */
export class EventParser {
  #rest = ''
  #type = ''
  #data: string[] = []

  push(text: string): ServerEvent[] {
    const events: ServerEvent[] = []
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/)
    this.#rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line !== '') this.#field(line)
      else if (this.#data.length > 0) events.push(this.#flush())
      else this.#type = ''
    }
    return events
  }

  #field(line: string): void {
    const colon = line.indexOf(':')
    const name = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (name === 'event') this.#type = value
    else if (name === 'data') this.#data.push(value)
  }

  #flush(): ServerEvent {
    const event = { type: this.#type || 'message', data: this.#data.join('\n') }
    this.#type = ''
    this.#data = []
    return event
  }
}

/**
 * Events of `body` as they arrive; ends when the body ends. `onBytes` is called for every piece that arrives, comments
 * included, so that the caller can tell a quiet stream from a dead one.
 */
export async function* readEvents(body: ReadableStream<Uint8Array>, onBytes: () => void): AsyncGenerator<ServerEvent> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  const parser = new EventParser()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      onBytes()
      yield* parser.push(decoder.decode(value, { stream: true }))
    }
  } finally {
    // Leaving early closes the connection: a browser grants a host only six of them.
    await reader.cancel().catch(() => undefined)
  }
}
