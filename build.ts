/** Builds `dist`: the program, the library, the client, and the files that they read. tsc writes the types. */
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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

/** The modules of `keyhold run` are one file of their own (src/app/run_child.ts). */
const separateRun: Plugin = {
  name: 'separate run',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/app\/run_child\.ts$/ }, () => ({ path: './run.js', external: true }));
  },
};

/** Loaded by every `keyhold run`. Not the store: an error of its native module must reach the person as a message. */
const USED_BY_RUN =
  /\bimport\(('(?:[^']*\/(?:open_vault|catalogue|references|plan|program|signals|run)\.ts|libsodium-wrappers)')\)/g;

/**
 * Imports statically what every `keyhold run` loads, so that it is one file. Reading, resolving and linking 90 small ones
 * costs as much as a start of Node.js.
 */
const importUsedByRun: Plugin = {
  name: 'import used by run',
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]src[\\/].*\.ts$/ }, ({ path }) => {
      const imports: string[] = [];
      const text = readFileSync(path, 'utf8').replaceAll(USED_BY_RUN, (_, module: string) => {
        imports.push(`import * as used${imports.length} from ${module};`);
        return `Promise.resolve(used${imports.length - 1})`;
      });
      return { contents: `${text}\n${imports.join('\n')}`, loader: 'ts' };
    });
  },
};

const PROGRAM: BuildOptions = {
  ...COMMON,
  platform: 'node',
  target: 'node20.12',
  external: ['better-sqlite3', 're2js', 'tldts'],
  // Bundled CommonJS modules call require.
  banner: {
    js: "import{createRequire as keyholdRequire}from'node:module';const require=keyholdRequire(import.meta.url);",
  },
};

await build({
  ...PROGRAM,
  entryPoints: { keyhold: 'src/main.ts', index: 'src/index.ts' },
  splitting: true,
  chunkNames: '[name]-[hash]',
  plugins: [englishOnly, separateRun],
});
await build({
  ...PROGRAM,
  entryPoints: { run: 'src/app/run_child.ts' },
  splitting: true,
  chunkNames: 'run-[name]-[hash]',
  minifySyntax: true,
  minifyWhitespace: true,
  plugins: [englishOnly, importUsedByRun],
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
