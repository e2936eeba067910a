/** The end of a child process. */
import { type ChildProcess, spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { PatternSet } from '../../../src/egress/redaction/pattern_set.ts';
import { runChild } from '../../../src/use/run/child.ts';
import { SignalRelay } from '../../../src/use/run/signals.ts';

const HAS_SHELL = spawnSync('sh', ['-c', ':']).status === 0;

/** Emits what Node.js emits after `kill` for a child of another user, such as that of sudo. */
class RefusedRelay extends SignalRelay {
  override relayTo(child: ChildProcess): void {
    super.relayTo(child);
    const error = Object.assign(new Error('kill EPERM'), { code: 'EPERM', syscall: 'kill' });
    for (let signals = 0; signals < 2; signals++) setImmediate(() => child.emit('error', error));
  }
}

test.runIf(HAS_SHELL)('signals that the child may not receive do not end the run', async () => {
  const end = await runChild({
    program: '/bin/sh',
    command: 'sh',
    args: ['-c', 'sleep 0.2; exit 7'],
    env: { PATH: process.env.PATH },
    stdout: undefined,
    stderr: undefined,
    patterns: new PatternSet([]),
    signals: new RefusedRelay(),
  });
  expect(end).toEqual({ code: 7, signal: null });
});
