import { defineConfig, type ViteUserConfig } from 'vitest/config';

const client: string = new URL('../client/', import.meta.url).pathname;

const config: ViteUserConfig = defineConfig({
  resolve: {
    alias: [
      { find: /^@fastcollab\/client\/(.+)$/, replacement: `${client}src/ot/$1.ts` },
      { find: /^@fastcollab\/client$/, replacement: `${client}src/index.ts` },
    ],
  },
  test: {
    include: ['test/**/*.test.tsx'],
    environment: 'happy-dom',
    globalSetup: [`${client}test/gateway/setup.ts`],
    testTimeout: 20_000,
    pool: 'threads',
    maxWorkers: 2,
  },
});

export default config;
