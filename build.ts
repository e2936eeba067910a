/** Builds `dist`: the program, the library, the client, and the files that they read. tsc writes the types. */
import { cpSync, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BuildOptions, build, type Plugin } from 'esbuild';
import { definitionsIn } from './src/services/built_in.ts';
import { parseDefinition } from './src/services/definition.ts';

const OUT = 'dist';
const DOCS_FILES = [
  'swagger-ui-bundle.js',
  'swagger-ui-bundle.js.LICENSE.txt',
  'swagger-ui.css',
  'LICENSE',
  'NOTICE',
];

/** Keeps zod's error messages in other languages out of the bundle: they are not used, and every start would load them. */
const englishOnly: Plugin = {
  name: 'english only',
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]zod[\\/]v4[\\/]locales[\\/]index\.js$/ }, () => ({
      contents: "export { default as en } from './en.js';",
    }));
  },
};

const COMMON: BuildOptions = {
  bundle: true,
  format: 'esm',
  outdir: OUT,
  mainFields: ['module', 'main'],
  legalComments: 'none',
  logLevel: 'warning',
};

// Chunks of an earlier build have other names and would be published too.
for (const name of existsSync(OUT) ? readdirSync(OUT) : []) if (name.endsWith('.js')) rmSync(join(OUT, name));

await build({
  ...COMMON,
  entryPoints: { keyhold: 'src/main.ts', index: 'src/index.ts' },
  platform: 'node',
  target: 'node20.12',
  splitting: true,
  chunkNames: '[name]-[hash]',
  external: ['better-sqlite3', 're2js', 'tldts'],
  plugins: [englishOnly],
  // Bundled CommonJS modules call require.
  banner: {
    js: "import{createRequire as keyholdRequire}from'node:module';const require=keyholdRequire(import.meta.url);",
  },
});
await build({
  ...COMMON,
  entryPoints: { client: 'src/client/index.ts' },
  platform: 'neutral',
  target: 'es2022',
});
const definitions = definitionsIn(new URL('./src/services/definitions/', import.meta.url));
for (const definition of definitions) parseDefinition(definition, `${definition.slug}.json`);
rmSync(join(OUT, 'definitions'), { recursive: true, force: true });
writeFileSync(join(OUT, 'definitions.json'), JSON.stringify(definitions));
for (const name of DOCS_FILES) cpSync(join('node_modules/swagger-ui-dist', name), join(OUT, 'docs', name));
