import { defineConfig, type UserConfig } from 'tsdown';

const config: UserConfig = defineConfig({
  entry: {
    index: 'src/index.ts',
    text: 'src/ot/text.ts',
    json1: 'src/ot/json1.ts',
    'rich-text': 'src/ot/rich-text.ts',
    indexeddb: 'src/persistence/indexeddb.ts',
    codemirror: 'src/bindings/codemirror.ts',
    quill: 'src/bindings/quill.ts',
  },
  format: 'esm',
  platform: 'neutral',
  target: 'es2022',
  dts: true,
  sourcemap: true,
  fixedExtension: false,
});

export default config;
