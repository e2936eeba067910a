/** Builds `dist`: the program, the library, the client, and the files that they read. tsc writes the types. */
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BuildOptions, build, type Metafile, type Plugin } from 'esbuild';
import { definitionsIn, toDefinitionsFile } from './src/services/built_in.ts';
import { ServiceCatalogue } from './src/services/catalogue.ts';
import { parseDefinition } from './src/services/definition.ts';
import LOGOS from './src/web/layout/logos.json' with { type: 'json' };

const OUT = 'dist';
const LOGO_PACKAGE = 'node_modules/simple-icons';
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
  // The licences are in the notices instead.
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
};

// Chunks of an earlier build have other names and would be published too.
for (const name of existsSync(OUT) ? readdirSync(OUT) : []) if (/\.c?js$/.test(name)) rmSync(join(OUT, name));

/**
 * Loads the modules of `keyhold run` from a file of their own (src/app/run_child.ts) with require: a CommonJS file skips the
 * asynchronous loader of ES modules, whose wrappers of Node's own modules alone cost as much as a fifth of a start.
 */
const separateRun: Plugin = {
  name: 'separate run',
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]src[\\/]main\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8').replace(
        "await import('./app/run_child.ts')",
        "require('./run.cjs')",
      ),
      loader: 'ts',
    }));
  },
};

/** Large packages that only some runs of `keyhold run` load, each in a file of its own. */
const LOADED_LATE = [
  '@aws-sdk/client-kms',
  '@clack/prompts',
  'bson',
  'bcrypt-pbkdf',
  'cli-table3',
  'mysql2',
  'nodemailer/lib/smtp-connection',
  'pg',
  'pino',
  'ssh2',
  'undici',
];

/** Leaves `LOADED_LATE` out of the file of `keyhold run`. */
const packagesLoadedLate: Plugin = {
  name: 'packages loaded late',
  setup({ onResolve }) {
    onResolve({ filter: /^[a-z@]/ }, ({ path, kind }) =>
      kind === 'dynamic-import' && LOADED_LATE.includes(path)
        ? { path: packageFile(path), external: true }
        : undefined,
    );
  },
};

function packageFile(name: string): string {
  return `./package-${name.replace(/\W+/g, '-')}.js`;
}

const PROGRAM: BuildOptions = {
  ...COMMON,
  platform: 'node',
  target: 'node20.12',
  // The last three are optional parts of drivers, which do without.
  external: [
    '@napi-rs/keyring',
    'better-sqlite3',
    're2js',
    'tldts',
    './run.cjs',
    'cpu-features',
    '*.node',
    'pg-native',
  ],
  // Bundled CommonJS modules call require.
  banner: {
    js: "import{createRequire as keyholdRequire}from'node:module';const require=keyholdRequire(import.meta.url);",
  },
};

const builds = [];
builds.push(
  await build({
    ...PROGRAM,
    entryPoints: {
      keyhold: 'src/main.ts',
      index: 'src/index.ts',
      ...Object.fromEntries(LOADED_LATE.map((name) => [packageFile(name).slice(2, -3), name])),
    },
    splitting: true,
    chunkNames: '[name]-[hash]',
    plugins: [englishOnly, separateRun],
  }),
);
// One file, in which a module is evaluated when it is first imported.
builds.push(
  await build({
    ...PROGRAM,
    entryPoints: { run: 'src/app/run_child.ts' },
    format: 'cjs',
    outExtension: { '.js': '.cjs' },
    define: { 'import.meta.url': 'keyholdUrl' },
    banner: { js: "const keyholdUrl=require('node:url').pathToFileURL(__filename).href;" },
    minifySyntax: true,
    minifyWhitespace: true,
    plugins: [englishOnly, packagesLoadedLate],
  }),
);
builds.push(
  await build({
    ...COMMON,
    entryPoints: { client: 'src/client/index.ts' },
    platform: 'neutral',
    target: 'es2022',
  }),
);
// The stylesheet and the script of the pages, which src/web/browser_files.ts serves.
await build({
  entryPoints: { style: 'src/web/browser/style.css', script: 'src/web/browser/script.ts' },
  outdir: join(OUT, 'web'),
  bundle: true,
  minify: true,
  format: 'iife',
  target: ['chrome111', 'firefox113', 'safari16.4'],
  logLevel: 'warning',
});
writeFileSync(join(OUT, 'web/logos.svg'), toSprite(LOGOS));
const definitions = definitionsIn(new URL('./src/services/definitions/', import.meta.url));
// Throws for an invalid definition, and for an id that two have.
ServiceCatalogue.of(definitions.map((definition) => parseDefinition(definition, `${definition.slug}.json`)));
for (const name of ['definitions', 'definitions.json'])
  rmSync(join(OUT, name), { recursive: true, force: true });
writeFileSync(join(OUT, 'definitions.jsonl'), toDefinitionsFile(definitions));
for (const name of DOCS_FILES) cpSync(join('node_modules/swagger-ui-dist', name), join(OUT, 'docs', name));
writeFileSync(
  join(OUT, 'THIRD_PARTY_NOTICES.txt'),
  noticesOf([...builds.flatMap(bundledPackages), LOGO_PACKAGE]),
);

/** One SVG file with a symbol for each service. Only the drawings: the symbols have the colour of the text. */
function toSprite(logos: Readonly<Record<string, string>>): string {
  const symbols = Object.entries(logos).map(([slug, logo]) => {
    const svg = readFileSync(join(LOGO_PACKAGE, 'icons', `${logo}.svg`), 'utf8');
    const drawing = /<path d="[\w\s.,-]+"\/>/.exec(svg)?.[0];
    if (drawing === undefined) throw new Error(`The logo ${logo} is not a single path`);
    return `<symbol id="${slug}" viewBox="0 0 24 24">${drawing}</symbol>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg">${symbols.join('')}</svg>\n`;
}

/** The folders of the packages of which the files of a build contain code. */
function bundledPackages({ metafile }: { readonly metafile?: Metafile | undefined }): readonly string[] {
  return Object.values(metafile?.outputs ?? {})
    .flatMap(({ inputs }) => Object.keys(inputs))
    .flatMap((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []);
}

/** The licences of packages, as they require of copies. Throws for a package without one. */
function noticesOf(folders: readonly string[]): string {
  const notices = new Map<string, string>();
  for (const folder of folders) {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const texts = readdirSync(folder)
      .filter((file) => /^(?:licen[cs]e|copying|notice)(?:[.-]|$)/i.test(file))
      .sort()
      .map((file) => readFileSync(join(folder, file), 'utf8').trim());
    if (texts.length === 0 && typeof license !== 'string') throw new Error(`${name} has no licence`);
    notices.set(
      `${name} ${version}`,
      [`${name} ${version}${license ? `: ${license}` : ''}`, ...texts].join('\n\n'),
    );
  }
  const sorted = [...notices].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, text]) => text);
  return `Keyhold contains code of these packages.\n\n${sorted.join(`\n\n${'-'.repeat(80)}\n\n`)}\n`;
}
