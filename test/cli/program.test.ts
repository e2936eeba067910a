/** The command line as a whole: help, usage errors, exit codes and streams. No output repeats an argument. */
import fs from 'node:fs';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { allCommands } from '../../src/cli/all_commands.ts';
import type { ProgramContext } from '../../src/cli/context.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { VaultError } from '../../src/contract/errors.ts';
import { keyhold, keyholdJson, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';

const CANARY = 'canary_5f1e9b_tok';
const LINEAR_KEY = 'lin_api_abc123def456789';

let home: string;
beforeEach(() => {
  home = newHome();
});
afterEach(() => removeHome(home));

describe('usage errors', () => {
  test.each([
    ['an unknown command', ['statsu'], /Did you mean `keyhold status`/],
    ['an incomplete command', ['servi'], /Did you mean `keyhold services`/],
    ['an unknown subcommand', ['services', 'shwo'], /Did you mean `keyhold services show`/],
    ['an unknown option', ['status', '--nmae', 'x'], /Did you mean --name/],
    ['an option without its value', ['status', '--name'], /--name <name> needs a value/],
    ['a missing argument', ['delete'], /Name the service/],
    ['an excess argument', ['mcp', 'x'], /`keyhold mcp` takes fewer arguments/],
    [
      'an invalid value of an option',
      ['store', 'linear', '--type', 'x'],
      /--type takes one of: bearer, api_key/,
    ],
    ['an unknown shell', ['completion', 'tcsh'], /takes one of: bash, zsh, fish/],
    ['help for an unknown command', ['help', 'xyzzy'], /Unknown command/],
  ])('keyhold exits with 2 and a helpful message for %s', async (_what, argv, expected) => {
    const { code, stdout, stderr } = await keyhold(home, argv);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^error: /);
    expect(stderr).toMatch(expected);
  });

  test('status --json prints an error as one line of JSON on stderr', async () => {
    const { code, stderr } = await keyhold(home, ['status', 'no_such_service_at_all', '--json']);
    expect(code).toBe(5);
    expect(stderr.trimEnd()).not.toContain('\n');
    const { error } = JSON.parse(stderr) as { error: Record<string, unknown> };
    expect(Object.keys(error)).toEqual(['code', 'message']);
    expect(error.code).toBe('NOT_FOUND');
  });

  test('audit list --json prints the reason of an error', async () => {
    const { code, stderr } = await keyhold(home, ['audit', 'list', '--json']);
    expect(code).toBe(5);
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'NOT_FOUND', reason: 'vault_missing' } });
  });

  test('status exits with 2 for an invalid setting and prints its name, not its value', async () => {
    const { code, stderr } = await keyhold(home, ['status'], { env: { KEYHOLD_ROOT_KEY: CANARY } });
    expect(code).toBe(2);
    expect(stderr).toContain('KEYHOLD_ROOT_KEY');
    expect(stderr).not.toContain(CANARY);
  });

  test('store exits with 2 for a value as an argument, and suggests --stdin and --from-env', async () => {
    const { code, stderr } = await keyhold(home, ['store', 'linear', CANARY]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/never an argument.*--stdin.*--from-env/);
    expect(fs.existsSync(home)).toBe(false);
  });
});

describe('arguments that may be a misplaced secret', () => {
  const POSITIONS: readonly (readonly string[])[] = [
    [CANARY],
    [`--${CANARY}`],
    [`-${CANARY}`],
    ['help', CANARY],
    [CANARY, '--help'],
    ['init', CANARY],
    ['init', `--x=${CANARY}`],
    ['mcp', CANARY],
    ['mcp', `--${CANARY}`],
    ['install', CANARY],
    ['install', 'cursor', CANARY],
    ['install', 'cursor', '--name', `${CANARY}!`],
    ['install', 'cursor', '--scope', CANARY],
    ['install', `--${CANARY}`],
    ['store', CANARY],
    ['store', 'linear', CANARY],
    ['store', 'linear', '--', CANARY],
    ['store', 'linear', '--value', CANARY],
    ['store', 'linear', `--token=${CANARY}`],
    ['store', 'linear', `-${CANARY}`],
    ['store', 'linear', '--type', CANARY],
    ['store', 'linear', `--type=${CANARY}`],
    ['store', 'linear', '--from-env', CANARY],
    ['store', 'linear', '--from-env', `${CANARY}!`],
    ['store', 'linear', '--name', `${CANARY}\u0007`, '--stdin'],
    ['store', 'linear', '--stack', `${CANARY}\u0007`, '--stdin'],
    ['store', 'mysql', CANARY],
    ['update', CANARY],
    ['update', 'linear', CANARY],
    ['update', 'linear', `linear_api_key=${CANARY}`],
    ['update', 'linear', '--from-env', CANARY],
    ['update', 'linear', '--from-env', `${CANARY}=HOME`],
    ['update', 'linear', '--from-env', `linear_api_key=${CANARY}`],
    ['update', 'linear', `--${CANARY}`],
    ['status', CANARY],
    ['status', 'linear', CANARY],
    ['status', 'linear', '--name', CANARY],
    ['status', '--name', CANARY],
    ['status', '--stack', CANARY],
    ['status', `--${CANARY}`],
    ['test', CANARY],
    ['test', 'linear', CANARY],
    ['test', `--${CANARY}`],
    ['test', 'linear', '--name', CANARY],
    ['test', '--all', '--stack', CANARY],
    ['services', CANARY],
    ['services', 'list', CANARY],
    ['services', 'show', CANARY],
    ['services', 'show', 'linear', CANARY],
    ['services', 'add', CANARY],
    ['services', 'add', `/nowhere/${CANARY}/x.json`],
    ['delete', CANARY, '--yes'],
    ['delete', 'linear', CANARY],
    ['delete', 'linear', '--name', CANARY, '--yes'],
    ['delete', 'linear', '--stack', CANARY, '--yes'],
    ['seal', CANARY],
    ['seal', 'linear', CANARY],
    ['seal', 'linear', '--key', CANARY],
    ['seal', 'linear', '--from-env', CANARY],
    ['audit', CANARY],
    ['audit', 'list', CANARY],
    ...[
      '--limit',
      '--before',
      '--action',
      '--service',
      '--credential',
      '--record',
      '--user',
      '--outcome',
      '--since',
      '--until',
      '--org',
    ].map((option) => ['audit', 'list', option, CANARY]),
    ['audit', 'verify', '--org', CANARY],
    ['keys', CANARY],
    ['keys', 'create', CANARY],
    ['keys', 'create', `--${CANARY}`],
    ...['--org', '--unit', '--scopes', '--services', '--expires'].map((option) => [
      'keys',
      'create',
      option,
      CANARY,
    ]),
    ['keys', 'create', '--user', `/${CANARY}`],
    ['keys', 'create', '--stack', `${CANARY}\u0007`],
    ['keys', 'create', '--name', `${CANARY}\u0007`],
    ['keys', 'create', '--scopes', `credentials:read,${CANARY}`],
    ['keys', 'list', CANARY],
    ['keys', 'list', '--org', CANARY],
    ['keys', 'rotate', CANARY],
    ['keys', 'rotate', `kh_${CANARY}`],
    ['keys', 'revoke', CANARY, '--yes'],
    ['keys', 'revoke', `kh_${CANARY}`],
    ['units', CANARY],
    ['units', 'create', `/${CANARY}`],
    ['units', 'create', 'sales', CANARY],
    ['units', 'create', 'sales', '--org', `/${CANARY}`],
    ['units', 'list', '--org', CANARY],
    ['users', CANARY],
    ['users', 'remove', `/${CANARY}`],
    ['users', 'list', '--org', CANARY],
    ['rotate', CANARY],
    ['rotate', 'root', '--to', CANARY],
    ['rotate', 'data', '--org', `/${CANARY}`],
    ['rotate', 'box', '--org', CANARY],
    ['change-passphrase', '--from-env', CANARY],
    ['status', '--url', CANARY],
    ['status', '--url', `https://${CANARY}@127.0.0.1:9`],
    ['status', '--url', `http://${CANARY}.example`],
    ['status', '--key-file', CANARY],
    ['status', '--url', 'http://127.0.0.1:9', '--key-file', CANARY],
    ['doctor', '--url', CANARY],
    ['doctor', '--url', `https://${CANARY}@127.0.0.1:9`],
    ['audit', 'verify', CANARY],
    ['doctor', CANARY],
    ['completion', CANARY],
  ];

  test.each(POSITIONS.map((argv) => [argv.join(' '), argv] as const))(
    'the output of `keyhold %s` does not repeat the canary',
    async (_line, argv) => {
      await keyholdOk(home, ['init']);
      for (const more of [[], ['--json']]) {
        const run = await keyhold(home, [...argv, ...more], { stdin: '' });
        expect(run.stdout + run.stderr).not.toContain(CANARY);
      }
    },
  );

  test('the audit log does not contain an unknown service id that was passed to a command', async () => {
    await keyholdOk(home, ['init']);
    await keyhold(home, ['delete', CANARY, '--yes']);
    await keyhold(home, ['store', CANARY], { stdin: 'x' });
    await keyhold(home, ['update', CANARY], { stdin: '{}' });
    const log = await keyholdJson<{ entries: unknown[] }>(home, ['audit', 'list']);
    expect(log.entries).toHaveLength(1);
    expect(JSON.stringify(log)).not.toContain(CANARY);
  });
});

describe('errors of the vault', () => {
  const failVaultWith = (thrown: unknown) => ({
    change: (app: ProgramContext) => ({
      ...app,
      withVault: async () => {
        throw thrown;
      },
    }),
  });

  test('an unknown error exits with 1 and prints a request id, but not its message', async () => {
    await keyholdOk(home, ['init']);
    const { code, stderr } = await keyhold(home, ['status'], failVaultWith(new Error(`leaks ${CANARY}`)));
    expect(code).toBe(1);
    expect(stderr).toMatch(/request id [0-9A-HJKMNP-TV-Z]{26}/);
    expect(stderr).not.toContain(CANARY);
  });

  test('an unknown error is logged with its name and request id, but without its message', async () => {
    await keyholdOk(home, ['init']);
    const lines: unknown[] = [];
    const record = (fields: unknown, message: string) => {
      lines.push([fields, message]);
    };
    const log = { debug: () => {}, info: () => {}, warn: () => {}, error: record };
    const { change } = failVaultWith(new TypeError(`leaks ${CANARY}`));
    const { stderr } = await keyhold(home, ['status', '--json'], {
      change: (app) => ({ ...change(app), log: async () => log }),
    });
    const { error } = JSON.parse(stderr) as { error: { code: string; request_id: string } };
    expect(error.code).toBe('INTERNAL');
    expect(lines).toHaveLength(1);
    expect(JSON.stringify(lines)).toContain('TypeError');
    expect(JSON.stringify(lines)).toContain(error.request_id);
    expect(JSON.stringify(lines)).not.toContain(CANARY);
  });

  test('each error code of the vault has its own exit code', async () => {
    await keyholdOk(home, ['init']);
    for (const [code, exit_code] of [
      ['LOCKED', 10],
      ['WRONG_KEY', 11],
      ['CORRUPT', 12],
      ['UNAVAILABLE', 13],
    ] as const) {
      const run = await keyhold(home, ['status'], failVaultWith(new VaultError(code, 'the message.')));
      expect(run).toEqual({ code: exit_code, stdout: '', stderr: 'error: the message.\n' });
    }
  });
});

describe('help', () => {
  test('keyhold without arguments prints its help on stdout and exits with 0', async () => {
    const { code, stdout, stderr } = await keyhold(home, []);
    expect(code).toBe(0);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^Usage: keyhold/);
    expect(stdout).not.toContain('__complete');
  });

  test('keyhold audit without a subcommand prints the help of audit and exits with 0', async () => {
    const { code, stdout } = await keyhold(home, ['audit']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Usage: keyhold audit.*verify/s);
  });

  test('the help of every command has a short description, the options and an example', async () => {
    let commands = 0;
    for (const path of await commandPaths()) {
      const { code, stdout } = await keyhold(home, [...path, '--help']);
      expect(code).toBe(0);
      expect(stdout).toMatch(new RegExp(`^Usage: keyhold ${path.join(' ')}`));
      expect(stdout).toMatch(/\n\n[A-Z][^\n]+(?:\n[^\n]+)?\.\n\n/);
      expect(stdout).toContain('--help');
      expect(stdout).toMatch(/\nExamples?:\n {2}\S/);
      expect(await keyholdOk(home, ['help', ...path])).toBe(stdout);
      commands++;
    }
    expect(commands).toBe(61);
  });

  test('keyhold --version prints the version', async () => {
    expect(await keyholdOk(home, ['--version'])).toBe('1.2.3-test\n');
  });

  test('keyhold store --help creates no vault', async () => {
    await keyholdOk(home, ['store', '--help']);
    expect(fs.existsSync(home)).toBe(false);
  });

  async function commandPaths(): Promise<string[][]> {
    const paths: string[][] = [];
    await keyhold(home, ['--version'], {
      change: (app) => {
        for (const command of buildProgram(app, allCommands(app)).commands) {
          // Hidden: completion, and the commands that only say what to do instead.
          if (['__complete', 'get', 'show'].includes(command.name())) continue;
          paths.push([command.name()], ...command.commands.map((inner) => [command.name(), inner.name()]));
        }
        return app;
      },
    });
    return paths;
  }
});

describe('output streams', () => {
  test('services list exits with 0 and prints no error if the reader closes the pipe', async () => {
    const { code, stderr } = await keyhold(home, ['services', 'list'], {
      change: (app) => ({ ...app, stdout: createFailingStream('EPIPE') }),
    });
    expect(code).toBe(0);
    expect(stderr).toBe('');
  });

  test('a command exits with 13 if the disk is full while it writes its output', async () => {
    for (const argv of [['services', 'list'], ['install'], ['--help']]) {
      const { code, stderr } = await keyhold(home, argv, {
        change: (app) => {
          const stdout = createFailingStream('ENOSPC');
          return {
            ...app,
            stdout,
            install: async () => ({ ...(await app.install()), out: (text) => stdout.write(text) }),
          };
        },
      });
      expect(code).toBe(13);
      expect(stderr).toMatch(/^error: The output could not be written/);
    }
  });

  test.each([['status', 'no_such_service'], ['statsu']])(
    '`keyhold %s` exits with the code of its error if stderr cannot be written',
    async (...argv) => {
      const words = argv.filter((word) => word !== undefined);
      const expected = (await keyhold(home, words)).code;
      expect(expected).toBeGreaterThan(1);
      const { code } = await keyhold(home, words, {
        change: (app) => ({ ...app, stderr: createFailingStream('ENOSPC') }),
      });
      expect(code).toBe(expected);
    },
  );

  test('status --json indents by two spaces and ends with a newline', async () => {
    await keyholdOk(home, ['store', 'linear'], { stdin: LINEAR_KEY });
    const text = await keyholdOk(home, ['status', 'linear', '--json']);
    expect(text).toBe(`${JSON.stringify(JSON.parse(text), null, 2)}\n`);
  });

  /** Creates a stream whose writes fail with the code. */
  function createFailingStream(code: string): NodeJS.WriteStream {
    const stream = new PassThrough();
    stream._write = (_chunk, _encoding, done) => done(Object.assign(new Error('write failed'), { code }));
    return stream as unknown as NodeJS.WriteStream;
  }
});

describe('the imports of the command line', () => {
  const CLI = path.resolve(import.meta.dirname, '../../src/cli');

  test('all commands statically import commander and few files outside src/cli', () => {
    const files = new Set<string>();
    const packages = new Set<string>();
    const walk = (file: string) => {
      if (files.has(file)) return;
      files.add(file);
      for (const [, source = ''] of fs.readFileSync(file, 'utf8').matchAll(STATIC_IMPORT)) {
        if (source.startsWith('.')) walk(path.resolve(path.dirname(file), source));
        else packages.add(source);
      }
    };
    walk(path.join(CLI, 'all_commands.ts'));
    expect([...packages].filter((name) => !name.startsWith('node:'))).toEqual(['commander']);
    const outside = [...files].filter((file) => !file.startsWith(CLI));
    expect(outside.map((file) => path.basename(file)).sort()).toEqual([
      'environment.ts',
      'errno.ts',
      'errors.ts',
      'ip_address.ts',
      'limits.ts',
      'patterns.ts',
      'rules.ts',
      'secret.ts',
      'server_url.ts',
      'shell_quote.ts',
      'store_location.ts',
    ]);
    expect(files.size).toBeGreaterThan(15);
  });

  /** Does not match `import type`, which the compiler removes, or `import()`, which runs later. */
  const STATIC_IMPORT = /^(?:import|export) (?!type )[^;]*?from '([^']+)';/gm;
});
