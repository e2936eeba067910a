/** The output and the input of a command of `keyhold run`. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PROGRAM, runProgram, startProgram } from '../../kit/child/built_program.ts';
import { newHome, removeHome } from '../../kit/child/cli.ts';
import { fillHome } from '../../kit/child/run_home.ts';

const KEY = 'Zq81kLm02xTVbN47';

let home: string;
beforeAll(async () => {
  home = newHome();
  await fillHome(home, { acme: { acme_key: KEY, acme_host: 'acme.example' } });
});
afterAll(() => removeHome(home));

const run = (args: readonly string[], input?: string) =>
  runProgram(['run', ...args], { env: { KEYHOLD_HOME: home }, ...(input === undefined ? {} : { input }) });

test('both outputs are redacted, in every encoding, and the plain field is not', async () => {
  const script = `
    const key = Buffer.from(process.env.ACME_KEY);
    console.log(process.env.ACME_DSN, key.toString('base64'), key.toString('hex'));
    console.error(process.env.ACME_KEY);`;
  const { stdout, stderr } = await run(['--', process.execPath, '-e', script]);
  // The last characters of base64 have less than a byte of the value.
  expect(stdout).toMatch(/^acme:\/\/user:\[redacted\]@acme\.example\/db \[redacted\]\S{0,4} \[redacted\]\n$/);
  expect(stderr).toBe('[redacted]\n');
});

test('output with --raw is not redacted', async () => {
  expect((await run(['--raw', '--', 'printenv', 'ACME_KEY'])).stdout).toBe(`${KEY}\n`);
});

test('a script can open /dev/stdout and /dev/stderr', async () => {
  const { stdout, stderr } = await run(['--', 'sh', '-c', 'echo out >/dev/stdout; echo err >/dev/stderr']);
  expect({ stdout, stderr }).toEqual({ stdout: 'out\n', stderr: 'err\n' });
});

test('standard input is that of the command', async () => {
  expect((await run(['--', 'cat'], `typed ${KEY}`)).stdout).toBe('typed [redacted]');
});

test('arguments reach the command without a shell', async () => {
  const args = ['$HOME', '*', 'a  b', '--raw', '--', ''];
  const { stdout } = await run(['printf', '<%s>', ...args]);
  expect(stdout).toBe(args.map((arg) => `<${arg}>`).join(''));
});

test('output of a process that the command leaves behind is not lost', async () => {
  const { code, stdout } = await run(['--', 'sh', '-c', '(sleep 0.5; echo late) & echo early; exit 3']);
  expect({ code, stdout }).toEqual({ code: 3, stdout: 'early\nlate\n' });
});

test('100 MB of output pass without growing memory, and every value in them is redacted', async () => {
  const megabytes = 100;
  const script = `
    const { ACME_KEY } = process.env;
    const line = Buffer.from('x'.repeat(999) + ACME_KEY + 'y'.repeat(1e6 - 999 - ACME_KEY.length));
    for (let at = 0; at < ${megabytes}; at++)
      for (let from = 0; from < line.length; ) from += require('fs').writeSync(1, line, from);`;
  const child = startProgram(['run', '--', process.execPath, '-e', script], {
    env: { KEYHOLD_HOME: home },
  });
  let bytes = 0;
  let found = 0;
  let rest = '';
  let memory_kib = 0;
  child.stdout?.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    const text = rest + chunk.toString('latin1');
    found += text.split('[redacted]').length - 1;
    expect(text.includes(KEY)).toBe(false);
    rest = text.slice(-9).replaceAll('[redacted]', '');
    if (process.platform !== 'linux') return;
    const peak = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'latin1'))?.[1];
    memory_kib = Math.max(memory_kib, Number(peak ?? 0));
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  expect(code).toBe(0);
  expect({ bytes, found }).toEqual({
    bytes: megabytes * (1_000_000 - KEY.length + '[redacted]'.length),
    found: megabytes,
  });
  expect(memory_kib).toBeLessThan(200 * 1024);
});

test('a reader that closes the pipe ends the command with SIGPIPE', async () => {
  const child = spawn(
    'bash',
    ['-c', '"$0" "$1" run -- yes | head -1; echo $PIPESTATUS', process.execPath, PROGRAM],
    { env: { PATH: process.env.PATH, KEYHOLD_HOME: home } },
  );
  let output = '';
  child.stdout.on('data', (text) => {
    output += text;
  });
  await new Promise((resolve) => child.once('close', resolve));
  expect(output).toBe('y\n141\n');
});
