/** Which jobs this tab has under way, kept over a reload of the page. */

const KEY = 'heliograph.open-jobs'

export function openJobs(): string[] {
  return (sessionStorage.getItem(KEY) ?? '').split(' ').filter((id) => id !== '')
}

export function rememberJob(id: string): void {
  sessionStorage.setItem(KEY, [...new Set([...openJobs(), id])].join(' '))
}

export function forgetJob(id: string): void {
  sessionStorage.setItem(KEY, openJobs().filter((other) => other !== id).join(' '))
}
