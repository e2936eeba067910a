/** Signals, exit codes and the terminal of a command of `keyhold run`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { PROGRAM, runProgram, startProgram } from '../../kit/child/built_program.ts';
import { newHome, removeHome } from '../../kit/child/cli.ts';
import { fillHome } from '../../kit/child/run_home.ts';
import { HAS_SCRIPT, runInTerminal } from '../../kit/child/terminal.ts';
import { removeFolder } from '../../kit/remove_folder.ts';

const KEY = 'Zq81kLm02xTVbN47';

let home: string;
beforeAll(async () => {
  home = newHome();
  await fillHome(home, { acme: { acme_key: KEY } });
});
afterAll(() => removeHome(home));

/** Starts a shell script and resolves when it has printed its first line. */
async function startScript(script: string, env: NodeJS.ProcessEnv = {}) {
  const child = startProgram(['run', '--', 'sh', '-c', script], { env: { KEYHOLD_HOME: home, ...env } });
  const output = { text: '' };
  child.stdout?.on('data', (text) => {
    output.text += text;
  });
  await printed(child, output, /\n/);
  return { child, output, end: ended(child) };
}

async function printed(child: ChildProcess, output: { readonly text: string }, pattern: RegExp) {
  while (!pattern.test(output.text)) await new Promise((resolve) => child.stdout?.once('data', resolve));
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once('close', resolve));
}

describe('exit codes', () => {
  test.each([
    ['exit 0', 0],
    ['exit 42', 42],
    ['kill -TERM $$', 143],
    ['kill -KILL $$', 137],
    ['kill -INT $$', 130],
  ])('%s ends the run with %i', async (script, expected) => {
    const { code } = await runProgram(['run', '--', 'sh', '-c', script], { env: { KEYHOLD_HOME: home } });
    expect(code).toBe(expected);
  });
});

describe('signals', () => {
  test.each(['HUP', 'INT', 'QUIT', 'TERM', 'USR1', 'USR2', 'WINCH'] as const)(
    'SIG%s is relayed once, and the command decides what it does',
    async (name) => {
      const script = `trap 'echo got; n=$((n+1))' ${name}; trap 'exit $n' ALRM; echo ready; while :; do sleep 0.05; done`;
      const { child, output, end } = await startScript(`echo $$; ${script}`);
      await printed(child, output, /ready/);
      child.kill(`SIG${name}`);
      await printed(child, output, /got/);
      await new Promise((resolve) => setTimeout(resolve, 200));
      process.kill(Number.parseInt(output.text, 10), 'SIGALRM');
      expect(await end).toBe(1);
    },
  );

  test('SIGTERM ends the command, and the run ends with 143 and without private files', async () => {
    const runtime = mkdtempSync(join(tmpdir(), 'keyhold-runtime-'));
    onTestFinished(() => removeFolder(runtime));
    const env = { XDG_RUNTIME_DIR: runtime };
    const { child, output, end } = await startScript('echo $ACME_KEY_FILE; exec sleep 60', env);
    const path = output.text.trim();
    expect(path.startsWith(runtime)).toBe(true);
    expect(existsSync(path)).toBe(true);
    child.kill('SIGTERM');
    expect(await end).toBe(143);
    expect(readdirSync(runtime)).toEqual([]);
  });

  test('after SIGTERM the run does not wait for processes that the command left behind', async () => {
    const { child, end } = await startScript('sleep 60 & echo ready; wait');
    const began = performance.now();
    child.kill('SIGTERM');
    expect(await end).toBe(143);
    expect(performance.now() - began).toBeLessThan(10_000);
  });

  test('SIGTSTP stops the command and the run, and SIGCONT continues both', async () => {
    if (process.platform !== 'linux') return;
    const { readFileSync } = await import('node:fs');
    const state = (pid: number) => /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1];
    const reach = async (pid: number, expected: RegExp) => {
      while (!expected.test(state(pid) ?? '')) await new Promise((resolve) => setTimeout(resolve, 20));
    };
    // As a job of a shell: the kernel discards SIGTSTP in a process group that no process of its session controls.
    const job = 'set -m; "$@" & echo $!; while kill -0 $! 2>/dev/null; do sleep 0.05; done; wait $!';
    const run = [process.execPath, PROGRAM, 'run', '--', 'sh', '-c', 'echo $$; exec sleep 60'];
    const shell = spawn('bash', ['-c', job, 'bash', ...run], { env: { ...process.env, KEYHOLD_HOME: home } });
    onTestFinished(() => void shell.kill('SIGKILL'));
    const output = { text: '' };
    shell.stdout.on('data', (text) => {
      output.text += text;
    });
    await printed(shell, output, /\d+\n\d+\n/);
    const [program = 0, command = 0] = output.text.split('\n').map(Number);
    const end = ended(shell);
    process.kill(program, 'SIGTSTP');
    for (const pid of [command, program]) await reach(pid, /T/);
    process.kill(program, 'SIGCONT');
    for (const pid of [command, program]) await reach(pid, /[SR]/);
    process.kill(program, 'SIGTERM');
    expect(await end).toBe(143);
  });
});

describe.runIf(HAS_SCRIPT)('in a terminal', () => {
  // With exec: dash would stay the parent, and end by the Ctrl-C that the command catches.
  const line = (script: string) => `exec ${process.execPath} ${PROGRAM} run -- sh -c '${script}'`;
  const env = () => ({ KEYHOLD_HOME: home });

  test('the command has the terminal, and its output is not redacted', async () => {
    const script = 'test -t 0 && test -t 1 && test -t 2 && echo terminal $ACME_KEY';
    const { code, shown } = await runInTerminal(line(script), [], env());
    expect({ code, shown: shown.trim() }).toEqual({ code: 0, shown: `terminal ${KEY}` });
  });

  test('the command reads from the terminal', async () => {
    const typed = [[/Name: $/, 'Ada\r']] as const;
    const { code, shown } = await runInTerminal(
      line('printf "Name: "; read name; echo hello $name'),
      typed,
      env(),
    );
    expect(code).toBe(0);
    expect(shown).toContain('hello Ada');
  });

  test('Ctrl-C reaches the command once, and the command decides what it does', async () => {
    const script =
      'trap "n=\\$((n+1)); echo caught" INT; echo ready; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.2; done; exit $n';
    const { code, shown } = await runInTerminal(line(script), [[/ready/, '\u0003']], env());
    expect(shown.match(/caught/g)).toHaveLength(1);
    expect(code).toBe(1);
  });

  test('Ctrl-C that ends the command ends the run with 130', async () => {
    const { code } = await runInTerminal(line('echo ready; exec sleep 60'), [[/ready/, '\u0003']], env());
    expect(code).toBe(130);
  });
});
