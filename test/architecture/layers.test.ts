/** Rules about imports: between layers, of packages, and what the program loads before it serves MCP. */
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { reachable, readSources } from '../kit/source_tree.ts';

const sources = readSources('src', 'tools');

const BELOW = ['src/contract', 'src/io'];

/** The layers from the lowest to the highest, and what each may import except itself: layers or single files. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  'src/contract': [],
  'src/io': ['src/contract'],
  'src/crypto': BELOW,
  'src/store': BELOW,
  'src/services': BELOW,
  'src/egress': BELOW,
  'src/vault': [...BELOW, 'src/crypto', 'src/store', 'src/services'],
  'src/use': [...BELOW, 'src/crypto', 'src/services', 'src/egress', 'src/vault'],
  'src/probe': [...BELOW, 'src/services', 'src/egress', 'src/vault', 'src/use'],
  tools: [...BELOW, 'src/crypto', 'src/services', 'src/vault', 'src/use'],
  'src/settings': [...BELOW, 'src/egress'],
  'src/client': BELOW,
  'src/http': [...BELOW, 'src/crypto/request_id.ts', 'src/vault', 'src/use'],
  'src/mcp': [...BELOW, 'tools', 'src/http'],
  'src/rest': [...BELOW, 'src/services', 'src/vault', 'src/use', 'src/http'],
  'src/oauth': [...BELOW, 'src/services', 'src/egress', 'src/vault', 'src/use'],
  'src/web': [...BELOW, 'src/services', 'src/vault', 'src/use', 'src/probe', 'src/oauth', 'src/http'],
  'src/cli': [...BELOW, 'src/crypto', 'src/services', 'src/vault', 'src/use', 'src/settings'],
  'src/app': [
    ...BELOW,
    'src/crypto',
    'src/store',
    'src/services',
    'src/vault',
    'src/egress',
    'src/use',
    'src/probe',
    'src/oauth',
    'src/settings',
    'src/client',
    'src/http',
    'src/mcp',
    'src/rest',
    'src/oauth',
    'src/web',
    'src/cli',
    'tools',
  ],
};
/** The files directly under src/ may import every layer, and only each other import them. */
const ROOT_FILE = /^src\/[a-z_]+\.ts$/;

function layerOf(path: string): string {
  return Object.keys(LAYERS).find((layer) => path.startsWith(`${layer}/`)) ?? path;
}

describe('imports between layers', () => {
  test('every file is in a layer or at the root of src', () => {
    const others = [...sources.keys()].filter((path) => layerOf(path) === path && !ROOT_FILE.test(path));
    expect(others).toEqual([]);
  });

  test('a file imports only from its own layer and from the layers that its layer may import', () => {
    const wrong: string[] = [];
    for (const { path, imports } of sources.values()) {
      const layer = layerOf(path);
      const allowed = LAYERS[layer];
      if (allowed === undefined) continue;
      for (const target of imports) {
        const is_allowed =
          target === 'package.json' || allowed.includes(layerOf(target)) || allowed.includes(target);
        if (layerOf(target) !== layer && !is_allowed) wrong.push(`${path} -> ${target}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test('every import names a file that exists', () => {
    const missing = [...sources.values()].flatMap(({ path, imports }) =>
      imports
        .filter((target) => !sources.has(target) && !existsSync(target))
        .map((target) => `${path} -> ${target}`),
    );
    expect(missing).toEqual([]);
  });

  test('no file imports itself through others', () => {
    const cycles = [...sources.values()].filter(({ imports, path }) =>
      imports.some((target) => reachable(sources, target).has(path)),
    );
    expect(cycles.map(({ path }) => path)).toEqual([]);
  });
});

test('the files of a storage engine are loaded by src/store/engines.ts only, so that the vault works with every engine', () => {
  const ENGINE_FOLDERS = ['src/store/sqlite/', 'src/store/postgres/'];
  const engineOf = (path: string) => ENGINE_FOLDERS.find((folder) => path.startsWith(folder));
  const importing = [...sources.values()].filter(({ path, imports }) =>
    imports.some((target) => engineOf(target) !== undefined && engineOf(target) !== engineOf(path)),
  );
  expect(importing.map(({ path }) => path)).toEqual(['src/store/engines.ts']);
});

describe('imports of packages', () => {
  test('src/contract imports zod and no other package', () => {
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
    ['hono', ['src/http/', 'src/rest/', 'src/web/']],
    ['@hono/zod-openapi', ['src/http/', 'src/rest/']],
    ['prom-client', ['src/http/metrics.ts']],
    ['@opentelemetry', ['src/app/telemetry/']],
    ['jose', ['src/http/', 'src/use/signers/jwt.ts', 'src/oauth/']],
    ['openid-client', ['src/oauth/']],
    ['otpauth', ['src/vault/values/totp.ts']],
    ['aws4fetch', ['src/use/signers/aws_sigv4.ts']],
    ['undici', ['src/egress/']],
  ] as const)('%s is imported by its owner only', (name, owners) => {
    const importers = [...sources.values()]
      .filter(({ packages }) => packages.some((one) => one === name || one.startsWith(`${name}/`)))
      .map(({ path }) => path);
    expect(importers.length).toBeGreaterThan(0);
    expect(importers.filter((path) => !owners.some((owner) => path.startsWith(owner)))).toEqual([]);
  });
});

describe('outgoing connections', () => {
  const CONNECTING = [
    // Code that sends requests or opens connections.
    /(?:\bawait|\breturn|=|\(|,|\?|:)\s*(?:globalThis\.)?fetch\(/,
    // Not `http.request.method`, an attribute of a span.
    /\b(?:http|https|net|tls)\.(?:request|get|connect|createConnection)\b(?!\.)/,
    /\bimport\s+(?!type\b)[^;]*?\b(?:request|get|connect|createConnection|Socket|TLSSocket)\b[^;]*?from 'node:(?:http|https|net|tls|http2|dgram)'/,
    /\bimport\s+(?!type\b)[^;]*?from 'node:(?:http2|dgram|dns|dns\/promises)'/,
    /'undici'/,
    /\bnew (?:WebSocket|EventSource)\b/,
  ];
  /** Where else, and why. */
  const EXCEPTIONS: Readonly<Record<string, string>> = {
    'src/client/bounded_fetch.ts':
      'the client of a Keyhold server, which also runs in browsers and in the command line; it sends an API key to the server that its user named',
    'src/client/stream.ts': 'as above, for responses that are read while they arrive',
    'src/use/run/output.ts':
      'reads the named pipe of a child process, for which Node.js has no other class; it connects to nothing',
    'src/web/browser/script.ts': 'runs in a browser, and requests pages of its own server',
  };

  test('are opened by src/egress and by the client of a server only', () => {
    const connecting = [...sources.keys()].filter(
      (path) =>
        !path.startsWith('src/egress/') &&
        CONNECTING.some((pattern) =>
          pattern.test(withoutComments(path).replaceAll(/import type [^;]*;|\btype \w+/g, '')),
        ),
    );
    expect(connecting).toEqual(Object.keys(EXCEPTIONS));
  });

  test('load undici when the first request is sent, and not before', () => {
    const importers = [...sources.values()].filter(({ packages }) => packages.includes('undici'));
    expect(importers.length).toBeGreaterThan(0);
    const early = importers.filter(({ text }) => /import (?!type )[^;(]*from 'undici'/.test(text));
    expect(early.map(({ path }) => path)).toEqual([]);
  });
});

describe('the files that keyhold mcp can load', () => {
  const reached = reachable(sources, 'src/app/run_mcp.ts');

  test('include the MCP server and the vault, and no file of the command line', () => {
    expect(reached).toContain('src/mcp/stdio.ts');
    expect(reached).toContain('src/vault/vault.ts');
    expect(reached).toContain('src/store/sqlite/store.ts');
    expect([...reached].filter((path) => path.startsWith('src/cli/'))).toEqual([]);
  });

  test('write to stdout in src/mcp/stdio.ts only', () => {
    const writers = [...reached].filter((path) =>
      /\bstdout\b|\bconsole\.(log|info|debug|table|dir)\b/.test(withoutComments(path)),
    );
    // The second one reads that of a child process.
    expect(writers.sort()).toEqual(['src/mcp/stdio.ts', 'src/use/values/command.ts']);
  });

  test('load settings, keys, database and services by dynamic imports only', () => {
    const loaded_first = loadedFirst('src/app/run_mcp.ts');
    expect(loaded_first).toContain('src/mcp/stdio.ts');
    const loaded_later =
      /^src\/(store|vault|services|settings|compose|crypto\/(?!request_id|random|sealed_box|sealed_value))/;
    expect([...loaded_first].filter((path) => loaded_later.test(path))).toEqual([]);
  });
});

test('the SDK of OpenTelemetry is loaded by a dynamic import only', () => {
  const importers = [...sources.values()]
    .filter(({ packages }) => packages.some((name) => name.startsWith('@opentelemetry/')))
    .map(({ path }) => path);
  expect(importers.length).toBeGreaterThan(2);
  for (const start of ['src/main.ts', 'src/index.ts', 'src/app/run_server.ts', 'src/app/run_mcp.ts']) {
    const loaded_first = loadedFirst(start);
    expect(importers.filter((path) => loaded_first.has(path))).toEqual([]);
  }
});

test('every command loads no code of `keyhold install` but its options, and no vault, before it runs', () => {
  const loaded_first = [...loadedFirst('src/app/run_cli.ts')];
  expect(loaded_first).toContain('src/cli/commands/status.ts');
  const installs = loaded_first.filter((path) => path.startsWith('src/cli/commands/install/'));
  expect(installs.sort()).toEqual([
    'src/cli/commands/install/client_ids.ts',
    'src/cli/commands/install/command.ts',
  ]);
  expect(loaded_first.filter((path) => /^src\/(store|vault|services|client|rest|mcp)\//.test(path))).toEqual(
    [],
  );
});

/** The files that Node.js loads with this one: not the targets of type imports and of dynamic imports. */
function loadedFirst(start: string): Set<string> {
  const loaded = new Set<string>();
  const queue = [start];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (loaded.has(path)) continue;
    loaded.add(path);
    const text = withoutComments(path);
    queue.push(
      ...(sources.get(path)?.imports ?? []).filter((target) => {
        const name = target.split('/').at(-1)?.replace('.', '\\.');
        return new RegExp(`(?:import|export) (?!type )[^;]*?from '[^']*${name}'`).test(text);
      }),
    );
  }
  return loaded;
}

function withoutComments(path: string): string {
  return (sources.get(path)?.text ?? '').replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
}
