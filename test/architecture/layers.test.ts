import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ROOT, reachable, readSources } from '../kit/source_tree.ts';

const sources = readSources('src', 'tools');

/** What each layer may import besides itself: layers, and single files of them. The order is the order of the layers. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  'src/contract': [],
  'src/io': ['src/contract'],
  'src/crypto': ['src/contract', 'src/io'],
  'src/store': ['src/contract', 'src/io'],
  'src/services': ['src/contract', 'src/io'],
  'src/vault': ['src/contract', 'src/io', 'src/crypto', 'src/store', 'src/services'],
  tools: ['src/contract', 'src/io', 'src/crypto', 'src/vault'],
  'src/http': ['src/contract', 'src/io', 'src/crypto/request_id.ts', 'src/vault'],
  'src/mcp': ['src/contract', 'src/io', 'tools', 'src/http'],
  'src/rest': ['src/contract', 'src/io', 'src/services', 'src/vault', 'src/http'],
  'src/client': ['src/contract', 'src/io'],
  'src/settings': ['src/contract', 'src/io'],
  'src/cli': ['src/contract', 'src/io', 'src/crypto', 'src/services', 'src/vault', 'src/settings'],
  'src/app': [
    'src/contract',
    'src/io',
    'src/crypto',
    'src/store',
    'src/services',
    'src/vault',
    'src/settings',
    'src/client',
    'src/http',
    'src/mcp',
    'src/rest',
    'src/cli',
    'tools',
  ],
};
/** Files directly under src/ put things together, and are imported by each other only. */
const TOP = /^src\/[a-z_]+\.ts$/;

function layerOf(path: string): string {
  return Object.keys(LAYERS).find((layer) => path.startsWith(`${layer}/`)) ?? path;
}

describe('the layers', () => {
  test('every file is in a layer or puts layers together', () => {
    const strays = [...sources.keys()].filter((path) => layerOf(path) === path && !TOP.test(path));
    expect(strays).toEqual([]);
  });

  test('imports go one way', () => {
    const wrong: string[] = [];
    for (const { path, imports } of sources.values()) {
      const layer = layerOf(path);
      const allowed = LAYERS[layer];
      if (allowed === undefined) continue;
      for (const target of imports) {
        const is_allowed = allowed.includes(layerOf(target)) || allowed.includes(target);
        if (layerOf(target) !== layer && !is_allowed) wrong.push(`${path} -> ${target}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test('every import leads to a file', () => {
    const lost = [...sources.values()].flatMap(({ path, imports }) =>
      imports
        .filter((target) => !sources.has(target) && target !== 'package.json')
        .map((target) => `${path} -> ${target}`),
    );
    expect(lost).toEqual([]);
  });

  test('there are no cycles', () => {
    const cycles = [...sources.values()].filter(({ imports, path }) =>
      imports.some((target) => reachable(sources, target).has(path)),
    );
    expect(cycles.map(({ path }) => path)).toEqual([]);
  });

  test('the contract imports nothing but zod', () => {
    const packages = [...sources.values()]
      .filter(({ path }) => path.startsWith('src/contract/'))
      .flatMap((file) => file.packages);
    expect(new Set(packages)).toEqual(new Set(['zod']));
  });

  test.each([
    ['libsodium-wrappers', ['src/crypto/sodium.ts']],
    ['commander', ['src/cli/']],
    ['better-sqlite3', ['src/store/']],
    ['@modelcontextprotocol/server', ['src/mcp/']],
    ['@hono/node-server', ['src/http/server/listener.ts']],
    ['hono', ['src/http/', 'src/rest/']],
    ['@hono/zod-openapi', ['src/http/', 'src/rest/']],
    ['prom-client', ['src/http/metrics.ts']],
    ['rate-limiter-flexible', ['src/http/auth/rate_limits.ts']],
    ['jose', ['src/http/']],
    ['openapi-fetch', ['src/client/']],
  ] as const)('%s is imported in its own place only', (name, places) => {
    const importers = [...sources.values()]
      .filter(({ packages }) => packages.some((one) => one === name || one.startsWith(`${name}/`)))
      .map(({ path }) => path);
    expect(importers.length).toBeGreaterThan(0);
    expect(importers.filter((path) => !places.some((place) => path.startsWith(place)))).toEqual([]);
  });
});

describe('what keyhold mcp can reach', () => {
  const reached = reachable(sources, 'src/app/run_mcp.ts');

  test('is the server, the tools and the vault, and not the command line', () => {
    expect(reached).toContain('src/mcp/stdio.ts');
    expect(reached).toContain('src/vault/vault.ts');
    expect(reached).toContain('src/store/sqlite/store.ts');
    expect([...reached].filter((path) => path.startsWith('src/cli/'))).toEqual([]);
  });

  test('never writes to stdout but through the transport', () => {
    const writers = [...reached].filter((path) =>
      /\bstdout\b|\bconsole\.(log|info|debug|table|dir)\b/.test(code(path)),
    );
    expect(writers).toEqual(['src/mcp/stdio.ts']);
  });

  test('reaches settings, keys, database and services only by a dynamic import', () => {
    const first = new Set<string>();
    const waiting = ['src/app/run_mcp.ts'];
    for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
      if (first.has(path)) continue;
      first.add(path);
      const text = code(path);
      // What a type import or a dynamic one names is not loaded.
      waiting.push(
        ...(sources.get(path)?.imports ?? []).filter((target) => {
          const name = target.split('/').at(-1)?.replace('.', '\\.');
          return new RegExp(`(?:import|export) (?!type )[^;]*?from '[^']*${name}'`).test(text);
        }),
      );
    }
    expect(first).toContain('src/mcp/stdio.ts');
    const late = /^src\/(store|vault|services|settings|compose|crypto\/(?!request_id|random|sealed_box))/;
    expect([...first].filter((path) => late.test(path))).toEqual([]);
  });

  /** A file's text without its comments. */
  function code(path: string): string {
    return (sources.get(path)?.text ?? '').replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  }
});

describe('the tree', () => {
  test('every file opens with what it owns', () => {
    const bare = [...sources.values()].filter(({ text }) => !/^(#![^\n]*\n)?\/\*\*/.test(text));
    expect(bare.map(({ path }) => path)).toEqual([]);
  });

  test('a file is one idea: none is longer than 300 lines, no tool longer than 100', () => {
    const written = [...sources.values()].filter(({ path }) => path !== 'src/client/schema.ts');
    const long = written.filter(
      ({ path, text }) => text.split('\n').length > (path.startsWith('tools/') ? 100 : 300),
    );
    expect(long.map(({ path }) => path)).toEqual([]);
  });

  test('there is no default export and no file of leftovers', () => {
    const wrong = [...sources.values()].filter(
      ({ path, text }) =>
        /^export default/m.test(text) || /(?:utils?|helpers?|common|manager|misc)\.ts$/.test(path),
    );
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });

  test('the root holds the agreed files and nothing else', () => {
    const agreed = [
      '.ci',
      '.gitignore',
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'biome.json',
      'build.ts',
      'mcp.json',
      'package-lock.json',
      'package.json',
      'src',
      'test',
      'tools',
      'tsconfig.build.json',
      'tsconfig.json',
    ];
    const made = ['.git', 'dist', 'node_modules', 'coverage'];
    expect(readdirSync(ROOT).filter((name) => !agreed.includes(name) && !made.includes(name))).toEqual([]);
  });

  test('a value is revealed in few places, all of them known', () => {
    const revealing = [...sources.values()]
      .filter(({ text }) => text.includes('.reveal()'))
      .map(({ path }) => path);
    expect(revealing.sort()).toMatchInlineSnapshot(`
      [
        "src/app/run_cli.ts",
        "src/cli/commands/init.ts",
        "src/cli/commands/seal.ts",
        "src/cli/commands/store.ts",
        "src/cli/commands/update.ts",
        "src/cli/connect/read_api_key.ts",
        "src/cli/terminal/prompt_fields.ts",
        "src/rest/superai/credentials.ts",
        "src/vault/keys/root_key.ts",
        "src/vault/records/record_codec.ts",
      ]
    `);
  });
});
