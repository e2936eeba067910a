/** Settings as programs pass them on: with line ends and blanks around them, or as a reference that was not replaced. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../src/contract/errors.ts';
import { assertNoReference, cleanSetting } from '../../src/settings/environment.ts';
import { parseHttpSettings } from '../../src/settings/http.ts';
import { parseOAuthSettings } from '../../src/settings/oauth.ts';
import { parseSettings } from '../../src/settings/settings.ts';
import { PROGRAM, runProgram } from '../kit/child/built_program.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const REFERENCES = [
  `\${HOME}/x`,
  `\${env:HOME}`,
  `\${input:home}`,
  '$HOME',
  '$HOME/x',
  '$env:HOME',
  '%APPDATA%\\x',
];
const WHOLE_REFERENCES = [`\${KEYHOLD_PASSPHRASE}`, '$KEYHOLD_PASSPHRASE', '$env:PASS', '%PASS%', ` \${X}\n`];
const NO_REFERENCES = ['pa$$word', `a\${b}c`, '100%', '%d %s', '$ecret words', '$5', 'correct horse $HOME'];

function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof VaultError && error.reason === 'setting_invalid') return error.message;
    throw error;
  }
  throw new Error('the setting was accepted');
}

describe('a setting', () => {
  test.each([
    ['KEYHOLD_HOME', '/srv/keyhold'],
    ['KEYHOLD_STORE', 'sqlite:/srv/my.db'],
    ['KEYHOLD_ROOT_KEY', 'file:/srv/my.key'],
    ['KEYHOLD_ROOT_KEY', 'env:MY_KEY'],
    ['KEYHOLD_CIPHER', 'xchacha20-poly1305'],
    ['KEYHOLD_LOG', 'debug'],
  ])('%s=%s has the same effect with white space, line ends or a byte order mark around it', (name, text) => {
    const expected = parseSettings({ KEYHOLD_HOME: '/home', [name]: text });
    for (const around of [`${text}\n`, `${text}\r\n`, `  ${text}\t`, `\uFEFF${text}`, `${text}\u00a0\r`]) {
      expect(parseSettings({ KEYHOLD_HOME: '/home', [name]: around })).toEqual(expected);
    }
  });

  test('a setting of the server and of OAuth is trimmed too', () => {
    expect(parseHttpSettings({ KEYHOLD_PORT: '8080\r', KEYHOLD_HOST: ' ::1\n' }, '/home')).toMatchObject({
      port: 8080,
      host: '::1',
    });
    const issuer = { KEYHOLD_OAUTH_ISSUER: ' https://issuer.example\r\n', KEYHOLD_OAUTH_AUDIENCE: 'vault\n' };
    expect(parseOAuthSettings(issuer)).toMatchObject({ issuer: 'https://issuer.example', audience: 'vault' });
  });

  test.each(REFERENCES)(
    'a setting that is or contains the reference %s is refused with the reason',
    (text) => {
      const messages = [
        refusal(() => parseSettings({ KEYHOLD_HOME: text })),
        refusal(() => parseSettings({ KEYHOLD_HOME: '/home', KEYHOLD_STORE: `sqlite:${text}` })),
        refusal(() => parseSettings({ KEYHOLD_HOME: '/home', KEYHOLD_ROOT_KEY: `file:${text}` })),
        refusal(() => parseSettings({ KEYHOLD_HOME: '/home', KEYHOLD_LOG: text })),
        refusal(() => parseHttpSettings({ KEYHOLD_TLS_CERT: text }, '/home')),
        refusal(() => parseOAuthSettings({ KEYHOLD_OAUTH_AUDIENCE: text })),
        refusal(() => cleanSetting('KEYHOLD_URL', text)),
      ];
      for (const message of messages) {
        expect(message).toMatch(
          /^The setting KEYHOLD_\w+ contains a reference .+ did not replace\. Set it to the/,
        );
        expect(message).not.toContain(text);
      }
    },
  );

  test.each([
    'https://vault.example/%C3%A9t%C3%A9',
    'https://vault.example/a%20b%20c',
    '/srv/100%/vault',
    '/srv/$/vault',
  ])('a setting is not a reference because of a percent or dollar sign: %s', (text) => {
    expect(cleanSetting('KEYHOLD_PUBLIC_URL', text)).toBe(text);
  });

  test('a secret is refused if it is a reference as a whole, and not if it contains one', () => {
    for (const text of WHOLE_REFERENCES) {
      expect(refusal(() => assertNoReference('KEYHOLD_PASSPHRASE', text))).not.toContain(text.trim());
    }
    for (const text of NO_REFERENCES)
      expect(() => assertNoReference('KEYHOLD_PASSPHRASE', text)).not.toThrow();
  });
});

describe('a setting given to the program', () => {
  test('KEYHOLD_HOME with a line end at its end creates no second folder', async () => {
    const folder = temporaryFolder();
    const home = join(folder, 'vault');
    expect((await runProgram(['init'], { env: { KEYHOLD_HOME: `${home}\r\n` } })).code).toBe(0);
    expect(readdirSync(folder)).toEqual(['vault']);
  });

  test.each([
    [
      'KEYHOLD_PASSPHRASE',
      { KEYHOLD_ROOT_KEY: 'passphrase', KEYHOLD_PASSPHRASE: `\${KEYHOLD_PASSPHRASE}` },
      2,
    ],
    ['KEYHOLD_ROOT_KEY', { KEYHOLD_ROOT_KEY: 'env:MY_KEY', MY_KEY: `\${MY_KEY}` }, 2],
    ['KEYHOLD_API_KEY', { KEYHOLD_URL: 'https://localhost:9', KEYHOLD_API_KEY: `\${KEYHOLD_API_KEY}` }, 2],
    ['KEYHOLD_URL', { KEYHOLD_URL: `\${KEYHOLD_URL}` }, 2],
  ])(
    '%s that is an unreplaced reference ends the command with its name and creates nothing',
    async (name, env, exit) => {
      const home = join(temporaryFolder(), 'vault');
      const { code, stderr } = await runProgram(['store', 'linear', '--stdin'], {
        env: { KEYHOLD_HOME: home, ...env },
        input: 'lin_api_1',
      });
      expect([code, stderr]).toEqual([exit, expect.stringContaining(`The setting `)]);
      expect(stderr).toContain(name);
      expect(stderr).toContain('did not replace');
      expect(existsSync(home)).toBe(false);
    },
  );

  test('a KEYHOLD_URL of white space only means the local vault, also for mcp', async () => {
    const env = { KEYHOLD_HOME: temporaryFolder(), KEYHOLD_URL: ' \r\n' };
    expect((await runProgram(['status'], { env })).code).toBe(0);
    expect(await runProgram(['mcp'], { env })).toMatchObject({ code: 0, stdout: '' });
  });
});

/** A user id that no user database knows, as containers get one. */
const UNKNOWN_UID = 54_321;

describe.skipIf(process.platform !== 'linux' || process.getuid?.() !== 0)(
  'a user without a home folder',
  () => {
    const run = async (args: readonly string[], env: NodeJS.ProcessEnv) => {
      const child = spawn(process.execPath, [PROGRAM, ...args], {
        env: { PATH: process.env.PATH, ...env },
        uid: UNKNOWN_UID,
        gid: UNKNOWN_UID,
        cwd: '/',
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let output = '';
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding('utf8').on('data', (text: string) => {
          output += text;
        });
      await once(child, 'close');
      return { code: child.exitCode, output };
    };

    test('a user without a home folder gets a clear error that names KEYHOLD_HOME', async () => {
      for (const args of [['status'], ['init'], ['doctor'], ['serve']]) {
        const { code, output } = await run(args, {});
        expect([args, code]).toEqual([args, 2]);
        expect(output).toContain(
          'KEYHOLD_HOME must be an absolute path, because the user that runs Keyhold has no home',
        );
        expect(output).not.toMatch(/^\s+at /m);
      }
    });

    test('a user without a home folder can use a vault in KEYHOLD_HOME', async () => {
      const { chownSync } = await import('node:fs');
      const home = temporaryFolder();
      chownSync(home, UNKNOWN_UID, UNKNOWN_UID);
      const env = { KEYHOLD_HOME: home };
      for (const args of [
        ['init'],
        ['status'],
        ['audit', 'verify'],
        ['install', 'cursor', '--scope', 'project', '--print'],
      ]) {
        const { code, output } = await run(args, env);
        expect([args, code, output.includes('home folder')]).toEqual([args, 0, false]);
      }
      expect((await run(['install', 'cursor', '--print'], env)).output).toContain('Set HOME to the folder.');
    });
  },
);
