/** What the server tells its operator, as it comes over the wire. */

export interface Halt {
  scope: string
  name: string | null
  action: 'pause' | 'drain'
  running: 'pause' | 'finish'
}

export interface Gpu {
  id: string
  pool: string
  node: string
  zone: string
  market: string
  memory_bytes: number
  planned_bytes: number
  halt: Halt | null
}

export interface Replica {
  id: string
  model: string
  gpus: string[]
  state: 'loading' | 'ready' | 'busy' | 'stopping'
  since: number
  job_id: string | null
  why: string
}

export interface ModelLine {
  model: string
  replicas: number
  pending: number
  pending_s: number
  load_s: number
  pinned: boolean
  replicas_max: number | null
  halt: Halt | null
}

export interface Fleet {
  gpus: Gpu[]
  replicas: Replica[]
  models: ModelLine[]
  halts: Halt[]
}

export interface Finding {
  cause: string
  severity: 'page' | 'ticket'
  subject: string | null
  since: number
  summary: string
  next_step: string
  evidence: { name: string; value: number; unit: string }[]
}

export interface Diagnosis {
  at: number
  summary: string
  findings: Finding[]
}

export interface Quantiles {
  count: number
  p50: number
  p95: number
  p99: number
  max: number
}

export interface Latency {
  groups: { name: string; stages: Record<string, Quantiles> }[]
  history: (Quantiles & { at: number })[]
}

export interface Objective {
  name: string
  target: number
  good: number
  bad: number
  budget_left: number | null
  burn: Record<string, number | null>
  alarm: 'page' | 'ticket' | null
}

export interface Health {
  queues: { model: string; pending: number; pending_s: number; oldest_s: number; replicas: number }[]
}

export interface RevisionQuality {
  model: string
  revision: string
  is_current: boolean
  pictures: number
  flagged: number
  rejected: number
  user_retries: number
  downloads: number
  alignment: { count: number; mean: number | null }
  held: boolean
  why: string | null
}

export interface Costs {
  pictures: number
  used_micros: number
  usd_per_picture: number | null
  shares: Record<string, { micros: number; share: number }>
}

export interface AuditEntry {
  at: number
  from: string | null
  method: string
  path: string
  body: unknown
  status: number
}

/** Everything the page shows, as it was at one moment. */
export interface Sight {
  fleet: Fleet
  diagnosis: Diagnosis
  latency: Latency
  tenants: Latency
  objectives: Objective[]
  health: Health
  quality: RevisionQuality[]
  costs: Costs | null
  audit: AuditEntry[]
}
