/** A call that timed out closes its connection, so that the process can exit. */
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
/** An open connection would keep the process running for longer: the test servers never close it. */
const EXIT_TIMEOUT_MS = 30_000;

const neverResponds: RequestListener = () => undefined;
const neverEnds: RequestListener = (_request, response) => {
  response.writeHead(200, { 'Content-Type': 'application/json' });
  const timer = setInterval(() => response.write(' '), 20);
  response.on('close', () => clearInterval(timer));
};

/** A script with one call that times out after 0.4 seconds. It does not exit explicitly. */
function clientScript(url: string, call: string, sweeps: boolean): string {
  return `
    import { KeyholdClient } from ${JSON.stringify(CLIENT)};
    const timer = ${sweeps} ? setInterval(gc, 10) : undefined;
    const client = new KeyholdClient({ url: ${JSON.stringify(url)}, key: 'kh_x', timeout_ms: 400 });
    await client.${call}.catch(({ code }) => process.stdout.write(code));
    clearInterval(timer);`;
}

describe('a call that times out', () => {
  const store = `storeCredential({ service_id: 'linear', credential_type: 'api_key', credential_value: 'x' })`;
  const read = 'getPublicKey()';

  test.each([
    ['never responds', neverResponds, read],
    ['never responds to a request with a body', neverResponds, store],
    ['never ends its response', neverEnds, read],
  ] as const)(
    'a process exits after its call timed out because the server %s',
    async (_what, listener, call) => {
      const { url } = await httpServer(listener);
      for (const sweeps of [true, false]) {
        const script = join(temporaryFolder(), 'call.mjs');
        writeFileSync(script, clientScript(url, call, sweeps));
        const child = spawn(process.execPath, ['--expose-gc', script], { timeout: EXIT_TIMEOUT_MS });
        onTestFinished(() => void child.kill('SIGKILL'));
        let output = '';
        child.stdout.setEncoding('utf8').on('data', (text: string) => {
          output += text;
        });
        const ended = await new Promise((resolve) =>
          child.once('close', (code, signal) => resolve({ code, signal })),
        );
        expect([sweeps, output, ended]).toEqual([sweeps, 'UNAVAILABLE', { code: 0, signal: null }]);
      }
    },
    90_000,
  );

  test('status exits with 13 if the server does not respond in time', async () => {
    const { url } = await httpServer(neverResponds);
    const module = join(temporaryFolder(), 'hurry.mjs');
    // Shortens the 30 seconds of the command line to 0.5.
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
    expect(run.stderr).toContain('did not respond within 30 seconds');
    expect(performance.now() - started_ms).toBeLessThan(EXIT_TIMEOUT_MS);
  }, 60_000);
});
