/** What the operations page knows and does: it looks every few seconds, and orders what was confirmed. */

import { type Api, ApiError } from '../api/client'
import type { AuditEntry, Costs, Diagnosis, Fleet, Health, Latency, Objective, RevisionQuality, Sight } from '../api/operator'

const KEY = 'heliograph.operator'
const LOOK_MS = 5_000
const DAY_S = 86_400

/** An order that waits for a yes: what it does in words, and the call that does it. */
export interface Order {
  title: string
  says: string
  danger: boolean
  method: 'POST' | 'PATCH'
  path: string
  body: Record<string, unknown>
  /** Ask for a number and send it under this name. */
  asks?: { name: string; label: string }
}

export class Control {
  sight = $state<Sight | null>(null)
  /** Why there is nothing new to see, null while there is. */
  problem = $state<string | null>(null)
  isLockedOut = $state(false)
  order = $state<Order | null>(null)
  announcement = $state('')
  // For as long as the tab is open, and no longer: the key opens everything.
  key = $state<string | null>(sessionStorage.getItem(KEY))
  readonly #api: Api
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(makeApi: (key: () => string | null) => Api) {
    this.#api = makeApi(() => this.key)
    if (this.key === null) this.isLockedOut = true
  }

  signIn(key: string): Promise<void> {
    sessionStorage.setItem(KEY, key)
    this.key = key
    return this.look()
  }

  forgetKey(): void {
    sessionStorage.removeItem(KEY)
    clearTimeout(this.#timer)
    this.key = null
    this.sight = null
    this.isLockedOut = true
  }

  /** Looks now, and again and again from then on. */
  async look(): Promise<void> {
    clearTimeout(this.#timer)
    if (this.key === null) return
    const get = <T>(path: string): Promise<T> => this.#api.ask<T>(`v1/admin/${path}`)
    try {
      const since = Math.floor(Date.now() / 1000) - DAY_S
      const [fleet, diagnosis, latency, tenants, objectives, health, quality, costs, audit] = await Promise.all([
        get<Fleet>('fleet'),
        get<Diagnosis>('diagnosis'),
        get<Latency>('latency?by=all&window=1h'),
        get<Latency>('latency?by=tenant&window=1h'),
        get<{ data: Objective[] }>('objectives'),
        get<Health>('health'),
        get<{ data: RevisionQuality[] }>('quality'),
        get<Costs>(`costs?since=${since}`).catch(() => null),
        get<{ data: AuditEntry[] }>('audit?limit=8'),
      ])
      this.sight = {
        fleet,
        diagnosis,
        latency,
        tenants,
        objectives: objectives.data,
        health,
        quality: quality.data,
        costs,
        audit: audit.data,
      }
      this.problem = null
      this.isLockedOut = false
    } catch (error) {
      if (error instanceof ApiError && (error.status === 401 || error.status === 403)) this.isLockedOut = true
      else this.problem = error instanceof Error ? error.message : String(error)
    }
    if (!this.isLockedOut) this.#timer = setTimeout(() => void this.look(), LOOK_MS)
  }

  /** Carries out what was confirmed; the answer is in the announcement. */
  async confirm(order: Order, number?: number): Promise<void> {
    const body = order.asks ? { ...order.body, [order.asks.name]: number ?? null } : order.body
    this.order = null
    try {
      await this.#api.ask(order.path, {
        method: order.method,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
      this.announcement = `Done: ${order.title}.`
    } catch (error) {
      this.announcement = `Not done: ${error instanceof Error ? error.message : String(error)}`
    }
    await this.look()
  }
}
