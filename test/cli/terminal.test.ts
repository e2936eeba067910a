/** The whole program on a real terminal, which `script` (util-linux) makes. */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { keyholdJson, newHome, removeHome } from '../kit/child/cli.ts';

const LINEAR_KEY = 'lin_api_abc123def456789';
const MAIN = path.resolve(import.meta.dirname, '../../src/main.ts');
const PROGRAM = `${process.execPath} --import tsx ${MAIN}`;
/** The program is translated as it starts, on a machine that may have other work. */
const TIMEOUT_MS = 30_000;

const has_script =
  spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux') === true;

let home: string;
beforeEach(() => {
  home = newHome();
});
afterEach(() => removeHome(home));

/** Runs a command line in a terminal and types each text when its prompt is there. */
async function inTerminal(line: string, typed: readonly (readonly [prompt: RegExp, keys: string])[]) {
  const env = { ...process.env, KEYHOLD_HOME: home, TERM: 'xterm' };
  const child: ChildProcessWithoutNullStreams = spawn('script', ['-qec', line, '/dev/null'], { env });
  let shown = '';
  let read_upto = 0;
  const left = [...typed];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown += text;
    const [next] = left;
    if (next === undefined || !next[0].test(shown.slice(read_upto))) return;
    left.shift();
    read_upto = shown.length;
    setTimeout(() => child.stdin.write(next[1]), 100);
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, shown };
}

describe.runIf(has_script)('on a terminal', () => {
  test('a value is not seen while it is typed, and stdout has the data only', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const out = path.join(path.dirname(home), 'out.json');
    const { code, shown } = await inTerminal(`${PROGRAM} store linear --json > ${out}`, [
      [/Linear: API key/, `${LINEAR_KEY}\r`],
    ]);
    expect(code).toBe(0);
    expect(shown).not.toContain(LINEAR_KEY);
    expect(JSON.parse(fs.readFileSync(out, 'utf8'))).toMatchObject({ success: true, service_id: 'linear' });
    expect(await keyholdJson(home, ['status', 'linear'])).toMatchObject({ status: 'active' });
  });

  test('Ctrl-C at a prompt ends it with 130 and leaves the terminal as it was', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const { code, shown } = await inTerminal(`${PROGRAM} store linear; echo "code $?"; stty -a`, [
      [/Linear: API key/, '\u0003'],
    ]);
    expect(code).toBe(0);
    expect(shown).toContain('code 130');
    expect(shown).toMatch(/(?<!-)icanon/);
    expect(shown).toMatch(/(?<!-)echo\b/);
    expect(fs.existsSync(home)).toBe(false);
  });

  test('nothing of a paste of several lines reaches the shell', { timeout: TIMEOUT_MS }, async () => {
    const witness = path.join(path.dirname(home), 'ran');
    const { shown } = await inTerminal(`${PROGRAM} store linear; echo "code $?"; head -c 1 | od -c`, [
      [/Linear: API key/, `-----BEGIN\rtouch ${witness}\r`],
      [/code \d/, 'Z\r'],
    ]);
    expect(shown).toContain('code 2');
    expect(shown).toMatch(/0000000 +Z/);
  });
});

describe.skipIf(has_script)('without `script` of util-linux', () => {
  test.skip('the prompts are not tried on a real terminal', () => {});
});

test('a pipe whose reader is gone ends quietly', { timeout: TIMEOUT_MS }, () => {
  const line = `{ ${PROGRAM} services list --json; echo "code $?" >&2; } | head -n 1`;
  const { stdout, stderr } = spawnSync('bash', ['-c', line], {
    env: { ...process.env, KEYHOLD_HOME: home },
    encoding: 'utf8',
  });
  expect(stdout).toBe('{\n');
  expect(stderr).toBe('code 0\n');
});
