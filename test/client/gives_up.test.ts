/** A server that takes its time keeps no process: what has given up lets go of the connection, and can end. */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { runProgram } from '../kit/child/built_program.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { httpServer } from './misbehaving_server.ts';

const CLIENT = fileURLToPath(new URL('../../dist/client.js', import.meta.url));
/** What is kept by a connection lives until somebody else ends it, which nobody does here. */
const ENDS_WITHIN_MS = 8_000;

const neverAnswers: RequestListener = () => undefined;
const neverEnds: RequestListener = (_request, response) => {
  response.writeHead(200, { 'Content-Type': 'application/json' });
  const timer = setInterval(() => response.write(' '), 20);
  response.on('close', () => clearInterval(timer));
};

/** Makes one call that gives up after 0.4 seconds, and does nothing to end the process. */
function callerOf(url: string, call: string, sweeps: boolean): string {
  return `
    import { KeyholdClient } from ${JSON.stringify(CLIENT)};
    const timer = ${sweeps} ? setInterval(gc, 10) : undefined;
    const client = new KeyholdClient({ url: ${JSON.stringify(url)}, key: 'kh_x', timeout_ms: 400 });
    await client.${call}.catch(({ code }) => process.stdout.write(code));
    clearInterval(timer);`;
}

describe('a program whose call was given up ends by itself', () => {
  const store = `storeCredential({ service_id: 'linear', credential_type: 'api_key', credential_value: 'x' })`;
  const look = 'getPublicKey()';

  test.each([
    ['never answers', neverAnswers, look],
    ['never answers what has a body', neverAnswers, store],
    ['never ends its answer', neverEnds, look],
  ] as const)(
    'where the server %s, memory being swept or not',
    async (_what, listener, call) => {
      const { url } = await httpServer(listener);
      for (const sweeps of [true, false]) {
        const script = join(temporaryFolder(), 'call.mjs');
        writeFileSync(script, callerOf(url, call, sweeps));
        const child = spawn(process.execPath, ['--expose-gc', script], { timeout: ENDS_WITHIN_MS });
        onTestFinished(() => void child.kill('SIGKILL'));
        let said = '';
        child.stdout.setEncoding('utf8').on('data', (text: string) => {
          said += text;
        });
        const ended = await new Promise((resolve) =>
          child.once('close', (code, signal) => resolve({ code, signal })),
        );
        expect([sweeps, said, ended]).toEqual([sweeps, 'UNAVAILABLE', { code: 0, signal: null }]);
      }
    },
    40_000,
  );

  test('the command line too, with the code for it', async () => {
    const { url } = await httpServer(neverAnswers);
    const module = join(temporaryFolder(), 'hurry.mjs');
    // Half a second in place of the half minute that the command line waits.
    writeFileSync(
      module,
      `import { setFlagsFromString } from 'node:v8';
      import { runInNewContext } from 'node:vm';
      setFlagsFromString('--expose-gc');
      setInterval(runInNewContext('gc'), 10).unref();
      const later = globalThis.setTimeout;
      globalThis.setTimeout = (act, ms, ...more) => later(act, ms === 30_000 ? 500 : ms, ...more);`,
    );
    const env = { KEYHOLD_HOME: temporaryFolder(), KEYHOLD_API_KEY: 'kh_x' };
    const started_ms = performance.now();
    const run = await runProgram(['status', '--url', url], {
      env: { ...env, NODE_OPTIONS: `--import=${module}` },
    });
    expect(run).toMatchObject({ code: 13, stdout: '' });
    expect(run.stderr).toContain('did not answer within 30 seconds');
    expect(performance.now() - started_ms).toBeLessThan(ENDS_WITHIN_MS);
  }, 15_000);
});
