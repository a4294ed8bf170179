import { mount } from 'svelte'
import './page.css'
import { Api } from './api/client'
import App from './App.svelte'
import { Studio } from './state/studio.svelte'

const studio = new Studio((key) => new Api({ base: new URL('.', document.baseURI).href, key, fetch: fetch.bind(window) }))
const target = document.getElementById('page')
if (target === null) throw new Error('index.html has no element #page')

mount(App, { target, props: { studio } })
