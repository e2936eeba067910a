/** Desktop notifications, with a program in PATH that records its arguments and environment. */
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { desktopChannel } from '../../../src/app/notify/desktop.ts';
import type { Notification } from '../../../src/app/notify/notifier.ts';
import { startProgram } from '../../kit/child/built_program.ts';
import { connectStdioClient } from '../../kit/mcp/stdio_client.ts';
import { temporaryFolder } from '../../kit/vault/temp_vault.ts';

const URL_TEXT = 'http://127.0.0.1:8787/dashboard/approvals/1?a=1&b=2';
const SIGNAL = new AbortController().signal;

/** A folder with a program `notify-send`; `lines` is its script. */
function installProgram(lines: readonly string[]) {
  const folder = temporaryFolder();
  const path = join(folder, 'notify-send');
  const report = join(folder, 'report');
  const record = [`for one in "$@"; do printf '%s\\0' "$one"; done > ${report}.args`, `env > ${report}.env`];
  writeFileSync(path, ['#!/bin/sh', ...record, ...lines, `touch ${report}.done`, ''].join('\n'));
  chmodSync(path, 0o755);
  const read = (kind: string) => readFileSync(`${report}.${kind}`, 'utf8');
  return {
    env: { PATH: `${folder}:${process.env.PATH}`, HOME: '/home/me', DISPLAY: ':0' },
    hasRun: () => existsSync(`${report}.done`),
    args: () => read('args').split('\0').slice(0, -1),
    variables: () => read('env'),
  };
}

function notification(changes: Partial<Notification> = {}): Notification {
  return {
    kind: 'request',
    approval_id: '1',
    organization: 'local',
    user: 'me',
    summary: 'an agent requests GitHub',
    code: 'ABC-DEF',
    created_at: '2026-01-01T00:00:00.000Z',
    expires_at: '2026-01-02T00:00:00.000Z',
    url: URL_TEXT,
    ...changes,
  };
}

test('a hostile summary is one argument after --, on one line, without markup, and is cut', async () => {
  const program = installProgram([]);
  const file = join(temporaryFolder(), 'made');
  const summary = `-x --help <a href="x">$(touch ${file})</a>\n&amp;\u0000\u001b[2J\u202e${'y'.repeat(500)}`;
  await desktopChannel(program.env)(notification({ summary }), SIGNAL);
  const [app_name, end, title, text = '', ...others] = program.args();
  expect([app_name, end, title]).toEqual(['--app-name=Keyhold', '--', 'Keyhold: a request waits for you']);
  expect(others).toEqual([]);
  const [first = '', code, url, ...lines] = text.split('\n');
  expect(first.replace(file, 'FILE')).toMatch(
    /^-x --help &lt;a href="x"&gt;\$\(touch FILE\)&lt;\/a&gt; &amp;amp; {2}\[2J y{50,}\.\.\.$/,
  );
  expect(first.length).toBeLessThan(250);
  expect([code, url, lines]).toEqual(['Code: ABC-DEF', URL_TEXT.replace('&', '&amp;'), []]);
  expect(existsSync(file)).toBe(false);
});

test('the program gets the variables of the desktop and no setting of Keyhold', async () => {
  const program = installProgram([]);
  const env = { ...program.env, KEYHOLD_PASSPHRASE: 'correct horse', AWS_SECRET_ACCESS_KEY: 'secret' };
  await desktopChannel(env)(notification({ code: null, url: null }), SIGNAL);
  expect(program.variables()).toContain('DISPLAY=:0\n');
  expect(program.variables()).not.toMatch(/KEYHOLD|AWS/);
  expect(program.args().at(-1)).toBe('an agent requests GitHub');
});

test('the delivery rejects if the program is missing or fails, and ends with the signal', async () => {
  const missing = desktopChannel({ PATH: temporaryFolder() });
  await expect(missing(notification(), SIGNAL)).rejects.toThrow('ENOENT');
  await expect(desktopChannel(installProgram(['exit 3']).env)(notification(), SIGNAL)).rejects.toThrow(
    'notify-send failed',
  );
  const closing = new AbortController();
  const endless = desktopChannel(installProgram(['exec sleep 60']).env)(notification(), closing.signal);
  setTimeout(() => closing.abort(), 200);
  await expect(endless).rejects.toThrow('abort');
});

test('keyhold mcp shows a desktop notification with KEYHOLD_NOTIFY_DESKTOP=true, and none without it', async () => {
  for (const [setting, is_shown] of [
    ['true', true],
    ['false', false],
    [undefined, false],
  ] as const) {
    const program = installProgram([]);
    const off = setting === undefined ? {} : { KEYHOLD_NOTIFY_DESKTOP: setting };
    const env = { ...program.env, ...off, KEYHOLD_HOME: temporaryFolder() };
    const client = await connectStdioClient(startProgram(['mcp'], { env }));
    const { structured } = await client.call('request_access', {
      service_id: 'github',
      reason: 'Read issues.',
    });
    // The end of the program stops a notification that takes longer than a second.
    if (is_shown) await expect.poll(() => program.hasRun(), { timeout: 20_000 }).toBe(true);
    expect(await client.end()).toBe(0);
    expect(program.hasRun()).toBe(is_shown);
    if (is_shown) expect(program.args().at(-1)).toBe(`an agent requests GitHub\nCode: ${structured?.code}`);
  }
});
