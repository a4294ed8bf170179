/** The page's standing with the server: is it there, and does it let us in. */

import type { Api } from '../api/client'
import { pause } from '../api/follow'

const KEY = 'heliograph.key'
const PROBE_MS = [500, 1000, 2000, 4000, 8000] as const

export class Session {
  /** False from the moment nobody answers until somebody does. */
  isOnline = $state(true)
  /** The server asks for a key that we do not have or that it does not know. */
  isLockedOut = $state(false)
  key = $state<string | null>(localStorage.getItem(KEY))
  #back: Promise<void> | null = null

  signIn(key: string): void {
    localStorage.setItem(KEY, key)
    this.key = key
  }

  forgetKey(): void {
    localStorage.removeItem(KEY)
    this.key = null
    this.isLockedOut = true
  }

  /** Resolves when the server answers again. However many callers wait, one of them asks. */
  whenBack(api: Api): Promise<void> {
    this.#back ??= this.#probe(api).finally(() => (this.#back = null))
    return this.#back
  }

  async #probe(api: Api): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        await api.alive()
        this.isOnline = true
        return
      } catch {
        this.isOnline = false
        await pause(PROBE_MS[Math.min(attempt, PROBE_MS.length - 1)] ?? 0)
      }
    }
  }
}
