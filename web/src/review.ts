import { mount } from 'svelte'
import './page.css'
import Review from './review/Review.svelte'

const target = document.getElementById('page')
if (target === null) throw new Error('review.html has no element #page')

mount(Review, { target, props: { base: new URL('.', document.baseURI).href } })
