/** Refreshes at a provider that responds later than Keyhold waits. */
import { expect, test } from 'vitest';
import { TOKEN_REFRESH_PATIENCE_MS, TOKEN_REQUEST_TIMEOUT_MS } from '../../src/contract/limits.ts';
import { runProgram } from '../kit/child/built_program.ts';
import { errorOf } from '../kit/outcome.ts';
import { type Handler, upstreamEnv } from '../kit/upstream/upstream.ts';
import { openTestVault } from '../kit/vault/temp_vault.ts';
import { setup, tokens, WITHOUT_TOKEN } from './token_endpoint.ts';

const MARGIN_MS = 4_000;

async function elapsedMs(task: () => Promise<unknown>): Promise<number> {
  const began_ms = performance.now();
  await task();
  return performance.now() - began_ms;
}

const SLOW: readonly (readonly [string, Handler])[] = [
  ['sends no response', () => undefined],
  [
    'sends a byte a second',
    (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const timer = setInterval(() => response.write(' '), 1_000);
      response.on('close', () => clearInterval(timer));
    },
  ],
];

test.each(SLOW)(
  'a use without an access token fails after the time limit of a request if the provider %s',
  async (_name, handler) => {
    const { get, provider, status } = await setup(handler, { ends_in_ms: null, values: WITHOUT_TOKEN });
    const took_ms = await elapsedMs(async () =>
      expect(await errorOf(get())).toMatchObject({ code: 'UPSTREAM', retry: true }),
    );
    expect(took_ms).toBeGreaterThan(TOKEN_REQUEST_TIMEOUT_MS - 500);
    expect(took_ms).toBeLessThan(TOKEN_REQUEST_TIMEOUT_MS + MARGIN_MS);
    expect(await errorOf(get())).toMatchObject({ code: 'UPSTREAM', retry: true });
    expect(provider.requests).toHaveLength(1);
    expect((await status()).status).toBe('active');
  },
);

test('a use takes the stored access token after three seconds, and the late response is stored for the next one', async () => {
  const next = tokens();
  const { get, received, provider } = await setup(
    (request, response) => void setTimeout(() => next(request, response), TOKEN_REFRESH_PATIENCE_MS + 2_000),
    { ends_in_ms: 30_000 },
  );
  const took_ms = await elapsedMs(async () => expect(await get()).toBe(200));
  expect(took_ms).toBeGreaterThan(TOKEN_REFRESH_PATIENCE_MS - 500);
  expect(took_ms).toBeLessThan(TOKEN_REFRESH_PATIENCE_MS + 1_900);
  expect(received).toEqual(['access-token-0']);
  await expect
    .poll(
      async () => {
        await get();
        return received.at(-1);
      },
      { timeout: 10_000 },
    )
    .toBe('access-token-1');
  expect(provider.requests).toHaveLength(1);
});

test('closing the vault waits for a request that runs, and stores its tokens', async () => {
  const next = tokens();
  const { get, vault, home, caller } = await setup(
    (request, response) => void setTimeout(() => next(request, response), TOKEN_REFRESH_PATIENCE_MS + 2_000),
    { ends_in_ms: 30_000 },
  );
  expect(await get()).toBe(200);
  const took_ms = await elapsedMs(() => vault.close());
  expect(took_ms).toBeGreaterThan(1_000);
  const again = await openTestVault(home);
  const { entries } = await again.vault.listAudit(caller(), { action: 'refresh' });
  expect(entries).toHaveLength(1);
});

test('a command waits for the request of another process, and uses the access token that it obtained', async () => {
  const next = tokens();
  const { get, home, received, provider } = await setup(
    (request, response) => void setTimeout(() => next(request, response), 6_000),
    { ends_in_ms: null, values: WITHOUT_TOKEN },
  );
  const running = get();
  await expect.poll(() => provider.requests).toHaveLength(1);
  const env = { KEYHOLD_HOME: home, ...upstreamEnv(home) };
  expect(await runProgram(['call', 'acme', '/'], { env })).toMatchObject({ code: 0 });
  expect(await running).toBe(200);
  expect(received).toEqual(['access-token-1', 'access-token-1']);
  expect(provider.requests).toHaveLength(1);
});

test('no request is sent if the values for it were ready so late that another process may have refreshed meanwhile', async () => {
  const { get, provider, vault, caller, status } = await setup(tokens(), {
    ends_in_ms: null,
    values: WITHOUT_TOKEN,
  });
  const slow = { program: '/bin/sh', args: ['-c', 'sleep 8; echo client-secret-7c1'], cache_seconds: 0 };
  const commands = new Map([
    ['client_secret', slow],
    ['key', slow],
  ]);
  await vault.update({ ...caller(), edge: 'cli' }, { service_id: 'acme', credentials: {} }, { commands });
  expect(await errorOf(get())).toMatchObject({ code: 'UPSTREAM', retry: true });
  expect(provider.requests).toHaveLength(0);
  expect((await status()).status).toBe('active');
});
