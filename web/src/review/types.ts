/** What the review page reads of `/v1/admin/moderation`. */

export type Decision = 'uphold' | 'overturn' | 'release'

export interface Case {
  id: string
  subject: 'prompt' | 'picture'
  state: 'open' | 'appealed' | 'upheld' | 'overturned'
  tenant: string
  category: string
  score: number
  findings: { category: string; score: number; evidence: string[] }[]
  prompt: string | null
  negative_prompt: string
  holding: boolean
  since: number
}

export interface CaseFile extends Case {
  log: { number: number; at: number; actor: string; deed: string; reason: string }[]
  pictures: {
    index: number
    url: string
    availability: 'delivered' | 'held' | 'withheld'
    safety: { score: number } | null
  }[]
  job: { status: string; model: string; seed: number } | null
}

export interface CasePage {
  data: Case[]
  has_more: boolean
}
