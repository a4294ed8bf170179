import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vite'

const api = process.env['HELIOGRAPH_URL'] ?? 'http://127.0.0.1:8010'

export default defineConfig({
  plugins: [svelte()],
  // Relative, so that the page works behind any prefix.
  base: './',
  build: {
    outDir: '../src/heliograph/gateway/page',
    emptyOutDir: true,
    target: 'es2022',
    // No data: addresses: a Content-Security-Policy of 'self' is enough for everything the build writes.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: { input: ['index.html', 'operations.html'] },
  },
  server: {
    proxy: { '/v1': api, '/healthz': api },
  },
})
