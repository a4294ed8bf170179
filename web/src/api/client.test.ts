import { describe, expect, it } from 'vitest'
import { Api, ApiError, Unreachable } from './client'

const api = (base: string, response: () => Response | Promise<Response> = () => new Response('{}')) =>
  new Api({ base, key: () => null, fetch: () => Promise.resolve().then(response) })

describe('address', () => {
  it.each([
    ['http://host/', '/v1/outputs/o?signature=s', 'http://host/v1/outputs/o?signature=s'],
    ['http://host/studio/', '/v1/outputs/o', 'http://host/studio/v1/outputs/o'],
    ['http://host/studio/', '/studio/v1/outputs/o', 'http://host/studio/v1/outputs/o'],
    ['http://host/studio/', 'v1/jobs', 'http://host/studio/v1/jobs'],
    ['http://host/studio/', 'https://cdn.test/o', 'https://cdn.test/o'],
  ])('%s and %s', (base, path, expected) => {
    expect(api(base).address(path)).toBe(expected)
  })
})

describe('answers that are none', () => {
  it('carries what the server says is wrong', async () => {
    const body = { error: { message: 'seed must be a number', param: 'seed', code: 'invalid_seed' } }
    const refused = api('http://host/', () => Response.json(body, { status: 400 })).models()
    await expect(refused).rejects.toMatchObject({ message: 'seed must be a number', status: 400, param: 'seed' })
    await expect(refused).rejects.toBeInstanceOf(ApiError)
  })

  it.each([
    ['no network', () => Promise.reject(new TypeError('Failed to fetch'))],
    ['a proxy without a server', () => new Response('<h1>Bad Gateway</h1>', { status: 502 })],
    ['an answer that breaks off', () => new Response('{"data": [')],
  ])('takes %s for nobody being there', async (_, response) => {
    await expect(api('http://host/', response).models()).rejects.toBeInstanceOf(Unreachable)
  })
})
