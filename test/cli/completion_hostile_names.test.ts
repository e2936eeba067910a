/**
 * Completion of hostile names in real shells, in a real terminal: the completed line runs nothing. A server gives the names
 * of units, so they are of every kind, also those that a vault would refuse.
 */
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { httpServer } from '../client/misbehaving_server.ts';
import { PROGRAM } from '../kit/child/built_program.ts';
import { keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';
import { HAS_SCRIPT } from '../kit/child/terminal.ts';

const TIMEOUT_MS = 600_000;
/** After the candidates are printed: the shell has yet to change the line. */
const SHELL_PAUSE_MS = 300;

/** What a shell could run or expand. `ran` is the file that shows it. */
const HOSTILE = [
  '$(touch ran)',
  '`touch ran`',
  ';touch ran',
  '|touch ran',
  '&touch ran',
  '&&touch ran;',
  ' touch ran',
  '\ntouch ran\n',
  '\rtouch ran\r',
  '>ran',
  '(touch ran)',
  "'$(touch ran)'",
  "';touch ran;'",
  '";touch ran;"',
  '"$(touch ran)"',
  '\\$(touch ran)',
  `$(touch\${IFS}ran)`,
  `\${x:=$(touch ran)}`,
  '#$(touch ran)',
  '\u001b[201~\rtouch ran\r',
  '\u0003touch ran\r',
];
/** The names have a prefix each, so that a shell completes exactly one of them. */
const prefixOf = (at: number) => `u${String(at).padStart(2, '0')}`;
const NAMES = HOSTILE.map((text, at) => `${prefixOf(at)}${text}`);

const SHELLS: readonly (readonly [shell: string, start: string, load: (file: string) => string])[] = [
  ['bash', 'bash --norc --noprofile -i', (file) => `source ${file}`],
  ['zsh', 'zsh -f -i', (file) => `autoload -Uz compinit; compinit -u -D; source ${file}`],
  ['fish', 'fish --no-config -i', (file) => `source ${file}`],
];

/** Shells are optional on a developer's machine, never in CI. */
const canRun = (shell: string) =>
  process.env.CI !== undefined || (HAS_SCRIPT && spawnSync(shell, ['-c', 'true']).status === 0);

describe.each(SHELLS)('completion in %s', (shell, start, load) => {
  test.skipIf(!canRun(shell))(
    `hostile names run nothing when ${shell} completes them and the line is entered`,
    { timeout: TIMEOUT_MS },
    async () => {
      const terminal = await openShell(shell, start, load);
      await terminal.complete('keyhold keys create --unit good', 'goodunit');
      for (const at of HOSTILE.keys()) {
        await terminal.complete(`keyhold keys create --unit ${prefixOf(at)}`, undefined);
        expect([HOSTILE[at], terminal.hasRun()]).toEqual([HOSTILE[at], false]);
      }
      // Words before the cursor that are quoted stay so.
      await terminal.complete(`keyhold keys create --name '$(touch ran)' --unit good`, 'goodunit');
      expect(terminal.hasRun()).toBe(false);
      await terminal.complete('keyhold store linea', 'linear');
      // Shows that the file would be seen.
      await terminal.enter('touch ran; keyhold end');
      expect(terminal.hasRun()).toBe(true);
    },
  );

  test.runIf(!canRun(shell))(`${shell} or \`script\` of util-linux is missing: not tested`, () => {});
});

async function openShell(shell: string, start: string, load: (file: string) => string) {
  const home = newHome();
  onTestFinished(() => removeHome(home));
  const folder = path.dirname(home);
  const bin = path.join(folder, 'bin');
  const cwd = path.join(folder, 'cwd');
  for (const one of [bin, cwd]) fs.mkdirSync(one);
  const [completed, called] = [path.join(bin, 'completed'), path.join(bin, 'called')];
  const program = [
    '#!/bin/sh',
    `if [ "$1" = __complete ]; then "${process.execPath}" "${PROGRAM}" "$@"; echo "$2" >> "${completed}"`,
    `else { printf '<%s>' "$@"; echo; } >> "${called}"; fi`,
  ];
  fs.writeFileSync(path.join(bin, 'keyhold'), `${program.join('\n')}\n`, { mode: 0o755 });
  const script = path.join(bin, `completion.${shell}`);
  fs.writeFileSync(script, await keyholdOk(home, ['completion', shell]));
  const units = ['goodunit', ...NAMES].map((name, at) => ({ id: `${at}`, name, created_at: '' }));
  const server = await httpServer((_request, response) => {
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ units }));
  });
  const child = spawn('script', ['-qec', start, '/dev/null'], {
    cwd,
    env: {
      PATH: `${bin}:${process.env.PATH}`,
      HOME: folder,
      TERM: 'xterm',
      KEYHOLD_HOME: home,
      KEYHOLD_URL: server.url,
      KEYHOLD_API_KEY: `kh_${'0'.repeat(32)}_${'A'.repeat(43)}`,
    },
  });
  const closed = new Promise((resolve) => child.once('close', resolve));
  onTestFinished(async () => {
    // The shell may write its history: the folder is removed after its end.
    child.stdin.write('\u0003\rexit\r');
    const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await closed;
    clearTimeout(timer);
  });
  let shown = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown += text;
  });
  const until = async (isTrue: () => boolean) => {
    await expect.poll(isTrue, { timeout: 120_000, interval: 20, message: shown.slice(-2_000) }).toBe(true);
  };
  const linesOf = (file: string) =>
    fs.existsSync(file) ? fs.readFileSync(file, 'utf8').split('\n').slice(0, -1) : [];
  child.stdin.write(`${load(script)}; echo re''ady\r`);
  await until(() => shown.includes('ready'));

  /** Enters the line, and returns the arguments that keyhold was run with. */
  const enter = async (line: string): Promise<string> => {
    const before = linesOf(called).length;
    child.stdin.write(`${line}\r`);
    await until(() => linesOf(called).length > before);
    return linesOf(called).at(-1) ?? '';
  };
  return {
    enter,
    hasRun: () => fs.existsSync(path.join(cwd, 'ran')),
    /** Types the line into the shell, completes its last argument, and runs it. */
    async complete(line: string, expected: string | undefined): Promise<void> {
      const before = linesOf(completed).length;
      child.stdin.write(`${line}\t`);
      await until(() => linesOf(completed).length > before);
      await new Promise((resolve) => setTimeout(resolve, SHELL_PAUSE_MS));
      const entered = await enter('');
      if (expected !== undefined) expect(entered).toContain(`<${expected}>`);
    },
  };
}
