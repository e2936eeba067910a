/** Rules about the tree of files: the entries at its root, the sizes of folders, files and functions, and file headers. */
import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ROOT, readSources } from '../kit/source_tree.ts';
import { scanSource } from './scan_source.ts';

const sources = readSources('src', 'tools');
const written = [...sources.values()];

const FOLDER_FILES_MAX = 14;
/** `src/contract` has one file per type that crosses a boundary. */
const CONTRACT_FILES_MAX = 23;
const FILE_LINES_MAX = 300;
const TOOL_LINES_MAX = 100;
const FUNCTION_LINES_MAX = 70;

describe('the tree of files', () => {
  test('the root of the repository has the agreed entries only', () => {
    const agreed = [
      '.ci',
      '.dockerignore',
      '.gitignore',
      'CHANGELOG.md',
      'Dockerfile',
      'LICENSE',
      'README.md',
      'biome.json',
      'build.ts',
      'compose.yaml',
      'docs',
      'mcp.json',
      'package-lock.json',
      'package.json',
      'packaging',
      'server.json',
      'skills',
      'src',
      'test',
      'tools',
      'tsconfig.build.json',
      'tsconfig.json',
    ];
    const generated = ['.git', 'dist', 'node_modules', 'coverage'];
    const others = readdirSync(ROOT).filter((name) => !agreed.includes(name) && !generated.includes(name));
    expect(others).toEqual([]);
  });

  test('the root of src has two files: the entry of the program and the exports of the library', () => {
    const files = [...sources.keys()].filter((path) => /^src\/[^/]+$/.test(path));
    expect(files.sort()).toEqual(['src/index.ts', 'src/main.ts']);
  });

  test(`no folder has more than ${FOLDER_FILES_MAX} source files, src/contract excepted`, () => {
    const counts = new Map<string, number>();
    for (const path of sources.keys()) {
      const folder = path.slice(0, path.lastIndexOf('/'));
      counts.set(folder, (counts.get(folder) ?? 0) + 1);
    }
    const crowded = [...counts].filter(
      ([folder, count]) => count > (folder === 'src/contract' ? CONTRACT_FILES_MAX : FOLDER_FILES_MAX),
    );
    expect(crowded).toEqual([]);
  });

  test(`no file is longer than ${FILE_LINES_MAX} lines, and no tool longer than ${TOOL_LINES_MAX}`, () => {
    const long = written
      .map(({ path, text }) => ({ path, lines: text.trimEnd().split('\n').length }))
      .filter(({ path, lines }) => lines > (path.startsWith('tools/') ? TOOL_LINES_MAX : FILE_LINES_MAX));
    expect(long).toEqual([]);
  });

  test(`every function is shorter than ${FUNCTION_LINES_MAX} lines`, () => {
    const long = written.flatMap(({ path, text }) =>
      blocks(scanSource(text).code)
        .filter(({ lines }) => lines >= FUNCTION_LINES_MAX)
        .map(({ line, lines }) => `${path}:${line} has ${lines} lines`),
    );
    expect(long).toEqual([]);
  });

  test('every file opens with a comment about what it owns', () => {
    const bare = [...sources.values()].filter(({ text }) => !/^(#![^\n]*\n)?\/\*\*/.test(text));
    expect(bare.map(({ path }) => path)).toEqual([]);
  });

  test('no file has a default export or a name such as utils, helpers, common, manager or misc', () => {
    const wrong = [...sources.values()].filter(
      ({ path, text }) =>
        /^export default/m.test(text) || /(?:utils?|helpers?|common|manager|misc)\.tsx?$/.test(path),
    );
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });

  test('every file and folder name is snake_case', () => {
    const wrong = [...sources.keys()].filter(
      (path) => !/^(?:[a-z][a-z0-9_]*\/)*[a-z][a-z0-9_]*\.tsx?$/.test(path),
    );
    expect(wrong).toEqual([]);
  });

  test('only the listed files reveal the value of a Secret', () => {
    const revealing = [...sources.values()]
      .filter(({ text }) => text.includes('.reveal()'))
      .map(({ path }) => path);
    expect(revealing.sort()).toMatchInlineSnapshot(`
      [
        "src/app/cli_context.ts",
        "src/cli/commands/backup/passphrase.ts",
        "src/cli/commands/init.ts",
        "src/cli/commands/seal.ts",
        "src/cli/commands/store.ts",
        "src/cli/commands/update.ts",
        "src/cli/connect/server_option.ts",
        "src/cli/terminal/prompt_fields.ts",
        "src/egress/redaction/pattern_set.ts",
        "src/oauth/assertion.ts",
        "src/oauth/provider.ts",
        "src/probe/connection_string.ts",
        "src/probe/connections.ts",
        "src/probe/http/request.ts",
        "src/probe/protocols/imap.ts",
        "src/probe/protocols/mongodb.ts",
        "src/probe/protocols/mysql.ts",
        "src/probe/protocols/postgresql.ts",
        "src/probe/protocols/redis.ts",
        "src/probe/protocols/sftp.ts",
        "src/probe/protocols/smtp.ts",
        "src/probe/ssh/authentication.ts",
        "src/probe/ssh/private_key.ts",
        "src/rest/superai/credentials.ts",
        "src/settings/notify.ts",
        "src/store/postgres/options.ts",
        "src/use/call/request/templates.ts",
        "src/use/run/environment.ts",
        "src/use/signers/aws_sigv4.ts",
        "src/use/signers/azure_shared_key.ts",
        "src/use/signers/jwt.ts",
        "src/use/values/totp.ts",
        "src/use/values/value_producer.ts",
        "src/vault/backup/backups.ts",
        "src/vault/backup/unlock.ts",
        "src/vault/destinations/binding.ts",
        "src/vault/keys/root_key.ts",
        "src/vault/keys/transit.ts",
        "src/vault/oauth/credential_tokens.ts",
        "src/vault/records/record_codec.ts",
        "src/vault/uses/kept_responses.ts",
      ]
    `);
  });
});

/** Blocks that follow a parameter list or an arrow: the bodies of functions, and of `if` and `for` within them. */
function blocks(code: string): { readonly line: number; readonly lines: number }[] {
  const found: { line: number; lines: number }[] = [];
  const open: { line: number; is_body: boolean }[] = [];
  let line = 1;
  for (const { 0: char, index } of code.matchAll(/[{}\n]/g)) {
    if (char === '\n') line++;
    if (char === '{') {
      const before = code.slice(Math.max(0, index - 200), index);
      open.push({ line, is_body: /(?:=>|\)(?:\s*:[^;{}()]*)?)\s*$/.test(before) });
    }
    if (char === '}') {
      const block = open.pop();
      if (block?.is_body === true) found.push({ line: block.line, lines: line - block.line + 1 });
    }
  }
  return found;
}
