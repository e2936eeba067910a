/** Starts a child process in the process group and terminal of this process, and waits for it and its output. */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { RUN_OUTPUT_GRACE_MS } from '../../contract/limits.ts';
import type { PatternSet } from '../../egress/redaction/pattern_set.ts';
import { closeDescriptors, forward, type OutputPipe, openPipes } from './output.ts';
import { startError } from './program.ts';
import type { SignalRelay } from './signals.ts';

export interface ChildOptions {
  /** The path of the program. */
  readonly program: string;
  /** The command as it was typed: the first of the child's arguments. */
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Where redacted output goes; an output that is not given is inherited as it is. */
  readonly stdout: Writable | undefined;
  readonly stderr: Writable | undefined;
  /** The values that are not in the redacted output. */
  readonly patterns: PatternSet;
  readonly signals: SignalRelay;
}

export interface ChildEnd {
  /** The exit code, or 128 and the number of the signal. */
  readonly code: number;
  readonly signal: NodeJS.Signals | null;
}

/** Rejects with ProgramError if the child cannot be started. */
export async function runChild(options: ChildOptions): Promise<ChildEnd> {
  const { patterns, signals, stdout, stderr } = options;
  const redacted = [stdout, stderr].filter((stream) => stream !== undefined);
  const { child, outputs } = start(options, openPipes(redacted.length));
  signals.relayTo(child);
  const forwarding = Promise.all(
    outputs.map((output, at) => forward(output, redacted[at] as Writable, patterns)),
  );
  const end = await ended(child);
  await outputEnded(forwarding, outputs, signals);
  return end;
}

function start(
  { program, command, args, env, stdout, stderr }: ChildOptions,
  pipes: readonly OutputPipe[] | undefined,
): { readonly child: ChildProcess; readonly outputs: readonly Readable[] } {
  const remaining = [...(pipes ?? [])];
  const stdio = [stdout, stderr].map((stream) =>
    stream === undefined ? ('inherit' as const) : (remaining.shift()?.descriptor ?? ('pipe' as const)),
  );
  try {
    const child = spawn(program, args, { argv0: command, env, stdio: ['inherit', ...stdio], shell: false });
    const sockets = [child.stdout, child.stderr].filter((output) => output !== null);
    return { child, outputs: pipes?.map(({ output }) => output) ?? sockets };
  } catch (cause) {
    for (const { output } of pipes ?? []) output.destroy();
    throw startError(cause);
  } finally {
    closeDescriptors(pipes ?? []);
  }
}

function ended(child: ChildProcess): Promise<ChildEnd> {
  return new Promise((resolve, reject) => {
    // Also emitted for a signal that the child may not receive, as of sudo: then it has a process id, and runs on.
    child.on('error', (cause) => {
      if (child.pid === undefined) reject(startError(cause));
    });
    child.once('exit', (code, signal) =>
      resolve({ code: code ?? 128 + (signal === null ? 0 : constants.signals[signal]), signal }),
    );
  });
}

/**
 * Waits for the output, which other processes may continue to write, as programs that read from a pipe do. After a signal
 * it waits for a short time only.
 */
async function outputEnded(
  forwarding: Promise<unknown>,
  outputs: readonly Readable[],
  signals: SignalRelay,
): Promise<void> {
  const interruption = signals.is_interrupted ? Promise.resolve() : signals.interruption();
  await Promise.race([forwarding, interruption]);
  // A further signal ends this process, which may wait for a reader.
  signals.stop();
  const timer = setTimeout(() => {
    for (const output of outputs) output.destroy();
  }, RUN_OUTPUT_GRACE_MS);
  await forwarding;
  clearTimeout(timer);
}
