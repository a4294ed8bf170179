import { mount } from 'svelte'
import './page.css'
import { Api } from './api/client'
import Operations from './Operations.svelte'
import { Control } from './state/control.svelte'

const control = new Control((key) => new Api({ base: new URL('.', document.baseURI).href, key, fetch: fetch.bind(window) }))
const target = document.getElementById('page')
if (target === null) throw new Error('operations.html has no element #page')

mount(Operations, { target, props: { control } })
