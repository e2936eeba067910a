/**
 * Runs the command line as a shell would, in this process: a real vault in a folder, streams instead of the
 * process's own. Streams with `isTTY` simulate a terminal.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { createBootstrapKey } from '../../../src/app/bootstrap_key.ts';
import { listenForCallback } from '../../../src/app/cli_context.ts';
import { compose } from '../../../src/app/compose.ts';
import { allCommands } from '../../../src/cli/all_commands.ts';
import type { ProgramContext } from '../../../src/cli/context.ts';
import { runProgram } from '../../../src/cli/program.ts';
import { promptSecret } from '../../../src/cli/terminal/prompt.ts';
import { KeyholdClient } from '../../../src/client/keyhold_client.ts';
import { removeFolder } from '../remove_folder.ts';
import { test_engine } from '../vault/database.ts';

export interface CliOptions {
  /** Added to KEYHOLD_HOME. */
  readonly env?: NodeJS.ProcessEnv;
  /** The complete standard input. */
  readonly stdin?: string | Buffer;
  /** Standard input, output and error are a terminal. */
  readonly terminal?: boolean;
  /**
   * In a terminal: what is typed once its prompt is shown, in this order. Enter is `\r`, Ctrl-C `\u0003`; with
   * `null` the terminal goes away.
   */
  readonly typed?: readonly (readonly [prompt: RegExp, keys: string | null])[];
  /** Changes the app before it runs. */
  readonly change?: (app: ProgramContext) => ProgramContext;
}

export interface CliRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A new folder for `KEYHOLD_HOME` to be in; there is nothing in it yet. */
export function newHome(): string {
  return path.join(fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'keyhold-cli-'))), 'home');
}

/** Removes what `newHome` made. */
export function removeHome(home: string): Promise<void> {
  return removeFolder(path.dirname(home));
}

/** Runs `keyhold ...argv` with `home` as KEYHOLD_HOME, to its end. */
export async function keyhold(
  home: string,
  argv: readonly string[],
  options: CliOptions = {},
): Promise<CliRun> {
  const streams = new PlayedStreams(options);
  const app = cliApp(home, streams, options);
  const context = options.change?.(app) ?? app;
  const code = await runProgram(context, argv, allCommands(context));
  return { code, stdout: streams.out, stderr: streams.err };
}

/** The same, for a run that is expected to go well: fails the test otherwise. */
export async function keyholdOk(
  home: string,
  argv: readonly string[],
  options?: CliOptions,
): Promise<string> {
  const { code, stdout, stderr } = await keyhold(home, argv, options);
  if (code !== 0) throw new Error(`keyhold ${argv[0]} ended with ${code}: ${stderr}`);
  return stdout;
}

/** The same, with `--json` added, parsed. */
export async function keyholdJson<Json>(
  home: string,
  argv: readonly string[],
  options?: CliOptions,
): Promise<Json> {
  return JSON.parse(await keyholdOk(home, [...argv, '--json'], options)) as Json;
}

class PlayedStreams {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  out = '';
  err = '';
  readonly #keys: PassThrough;
  readonly #typed: (readonly [prompt: RegExp, keys: string | null])[];
  #read_upto = 0;

  constructor({ stdin, terminal = false, typed = [] }: CliOptions) {
    this.#typed = [...typed];
    this.#keys = Object.assign(new PassThrough(), { isTTY: terminal, setRawMode: () => {} });
    if (!terminal) this.#keys.end(stdin ?? '');
    this.stdin = this.#keys as unknown as NodeJS.ReadStream;
    this.stdout = collector(terminal, (text) => {
      this.out += text;
    });
    this.stderr = collector(terminal, (text) => {
      this.err += text;
      this.#typeAtPrompt();
    });
  }

  #typeAtPrompt(): void {
    const [next] = this.#typed;
    const at = next === undefined ? -1 : this.err.slice(this.#read_upto).search(next[0]);
    if (next === undefined || at === -1) return;
    this.#typed.shift();
    this.#read_upto = this.err.length;
    // A person types once the prompt is there; the prompt listens once it is drawn.
    setTimeout(() => (next[1] === null ? this.#keys.end() : this.#keys.write(next[1])), 20);
  }
}

function collector(terminal: boolean, take: (text: string) => void): NodeJS.WriteStream {
  const stream = Object.assign(new PassThrough(), { isTTY: terminal, columns: 200, rows: 50 });
  stream.on('data', (chunk) => take(String(chunk)));
  return stream as unknown as NodeJS.WriteStream;
}

function cliApp(home: string, streams: PlayedStreams, options: CliOptions): ProgramContext {
  const env = { KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent', ...test_engine.settings(home), ...options.env };
  const now = () => new Date();
  const prompt: ProgramContext['promptSecret'] = (question) => promptSecret(question, streams);
  const composition = compose({ env, promptSecret: prompt, now });
  return {
    version: '1.2.3-test',
    env,
    stdin: streams.stdin,
    stdout: streams.stdout,
    stderr: streams.stderr,
    settings: composition.settings,
    rootKeySource: composition.rootKeySource,
    caller: () => composition.caller('cli'),
    log: composition.log,
    calls: composition.calls,
    tests: composition.tests,
    connections: composition.connections,
    listenForCallback: (vault) => listenForCallback(composition, vault, '1.2.3-test'),
    accessTokens: composition.accessTokens,
    valueProducer: composition.valueProducer,
    backups: composition.backups,
    moveDestination: composition.moveDestination,
    promptSecret: prompt,
    createBootstrapKey: (vault) => createBootstrapKey(vault, composition.caller('cli'), home),
    async withVault(create, act, promptPassphrase = prompt) {
      const vault = await compose({ env, promptSecret: promptPassphrase, now }).openVault(create, 'cli');
      try {
        return await act(vault);
      } finally {
        await vault.close();
      }
    },
    connect: async (url, key, timeout_ms) =>
      new KeyholdClient({ url, key: key.reveal(), ...(timeout_ms === undefined ? {} : { timeout_ms }) }),
    serveMcp: async () => {
      throw new Error('a test of the command line serves nothing');
    },
    serve: async () => {
      throw new Error('a test of the command line serves nothing');
    },
    install: async () => ({
      platform: 'linux',
      env,
      home_folder: path.dirname(home),
      cwd: path.dirname(home),
      program: { command: '/usr/bin/node', args: ['/opt/keyhold.js'] },
      out: (text) => streams.stdout.write(text),
    }),
  };
}
