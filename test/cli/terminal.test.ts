/** The program in a real terminal, which `script` of util-linux creates. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { keyholdJson, newHome, removeHome } from '../kit/child/cli.ts';
import {
  HAS_SCRIPT,
  SOURCE_PROGRAM as PROGRAM,
  runInTerminal as runInTerminalWith,
  type Typed,
} from '../kit/child/terminal.ts';

const LINEAR_KEY = 'lin_api_abc123def456789';
const TIMEOUT_MS = 30_000;

let home: string;
beforeEach(() => {
  home = newHome();
});
afterEach(() => removeHome(home));

const runInTerminal = (line: string, typed: readonly Typed[]) =>
  runInTerminalWith(line, typed, { KEYHOLD_HOME: home });

describe.runIf(HAS_SCRIPT)('the program in a real terminal', () => {
  test('store does not echo the typed value and prints only JSON on stdout', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const out = path.join(path.dirname(home), 'out.json');
    const { code, shown } = await runInTerminal(`${PROGRAM} store groq --json > ${out}`, [
      [/Groq: API key/, `${LINEAR_KEY}\r`],
    ]);
    expect(code).toBe(0);
    expect(shown).not.toContain(LINEAR_KEY);
    expect(JSON.parse(fs.readFileSync(out, 'utf8'))).toMatchObject({ success: true, service_id: 'groq' });
    expect(await keyholdJson(home, ['status', 'groq'])).toMatchObject({ status: 'active' });
  });

  test('Ctrl-C at a prompt exits with 130 and restores the terminal', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const { code, shown } = await runInTerminal(`${PROGRAM} store groq; echo "code $?"; stty -a`, [
      [/Groq: API key/, '\u0003'],
    ]);
    expect(code).toBe(0);
    expect(shown).toContain('code 130');
    expect(shown).toMatch(/(?<!-)icanon/);
    expect(shown).toMatch(/(?<!-)echo\b/);
    expect(fs.existsSync(home)).toBe(false);
  });

  test.each([
    ['Ctrl-Z', '\u001a'],
    ['Ctrl-Z after a part of the value', 'lin_api_part\u001a'],
  ])(
    'after %s and fg the prompt is shown again, hides the value and stores it',
    {
      timeout: TIMEOUT_MS,
    },
    async (_, keys) => {
      const job = `set -m; ${PROGRAM} store groq; echo "stopped $?"; stty -a; fg; echo "code $?"; stty -a`;
      const { shown } = await runInTerminal(`bash -c '${job}'`, [
        [/Groq: API key/, keys],
        [/stopped 148.*Groq: API key/s, `${LINEAR_KEY}\r`],
      ]);
      expect(shown).toContain('code 0');
      expect(shown).not.toContain(LINEAR_KEY);
      expect(shown).not.toContain('lin_api_part');
      // Echo is on while the shell has the terminal, and again at the end.
      expect(shown.match(/(?<!-)echo\b/g)?.length).toBeGreaterThanOrEqual(2);
      expect(await keyholdJson(home, ['status', 'groq'])).toMatchObject({ status: 'active' });
    },
  );

  test('Ctrl-Z without a shell that could continue the program shows the prompt again', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const { code, shown } = await runInTerminal(`exec ${PROGRAM} store groq`, [
      [/Groq: API key/, '\u001a'],
      [/Groq: API key/, `${LINEAR_KEY}\r`],
    ]);
    expect(code).toBe(0);
    expect(shown).not.toContain(LINEAR_KEY);
  });

  test('no part of a paste of several lines reaches the shell', { timeout: TIMEOUT_MS }, async () => {
    const witness = path.join(path.dirname(home), 'ran');
    const { shown } = await runInTerminal(`${PROGRAM} store groq; echo "code $?"; head -c 1 | od -c`, [
      [/Groq: API key/, `-----BEGIN\rtouch ${witness}\r`],
      [/code \d/, 'Z\r'],
    ]);
    expect(shown).toContain('code 2');
    expect(shown).toMatch(/0000000 +Z/);
  });
});

describe.skipIf(HAS_SCRIPT)('the program without `script` of util-linux', () => {
  test.skip('the prompts are not tested in a real terminal', () => {});
});

test('services list exits with 0 and prints no error if the reader closes the pipe early', {
  timeout: TIMEOUT_MS,
}, () => {
  const line = `{ ${PROGRAM} services list --json; echo "code $?" >&2; } | head -n 1`;
  const { stdout, stderr } = spawnSync('bash', ['-c', line], {
    env: { ...process.env, KEYHOLD_HOME: home },
    encoding: 'utf8',
  });
  expect(stdout).toBe('{\n');
  expect(stderr).toBe('code 0\n');
});
