import { defineConfig } from 'vite';

/** What `fastcollab demo` serves: it is part of the Python package, beside the module that serves it. */
export default defineConfig({
  build: {
    outDir: '../../src/fastcollab/demo/web',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
  },
});
