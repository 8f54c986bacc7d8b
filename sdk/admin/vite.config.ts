import { defineConfig } from 'vite';

/** What the operations port serves: it is part of the Python package, beside the module that serves it. */
export default defineConfig({
  base: './', // a proxy may have it anywhere
  build: {
    outDir: '../../src/fastcollab/server/admin/web',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: false,
  },
});
