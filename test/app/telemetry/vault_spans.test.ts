/** Which operations of the vault are traced: all that return a promise, and none that does not. */
import { expect, onTestFinished, test } from 'vitest';
import { DELEGATING, NOUNS, traceVault } from '../../../src/app/telemetry/vault_spans.ts';
import { setTracer } from '../../../src/io/tracing/span.ts';
import { openTestVault } from '../../kit/vault/temp_vault.ts';

/** Methods without a promise. */
const SYNCHRONOUS = ['constructor', 'assertMayRead'];

test('every traced method returns a promise, and every other one is listed', async () => {
  const { vault } = await openTestVault();
  const parts = [vault, ...NOUNS.map((noun) => vault[noun])];
  const others = parts.flatMap((part) =>
    Object.entries(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(part)))
      .filter(([, { value }]) => typeof value === 'function' && value.constructor.name !== 'AsyncFunction')
      .map(([name]) => name),
  );
  expect(others.filter((name) => !DELEGATING.has(name) && !SYNCHRONOUS.includes(name))).toStrictEqual([]);
});

test('a traced vault records the names of its operations, and works as before', async () => {
  const { vault, caller } = await openTestVault();
  const names: string[] = [];
  setTracer((name, _options, act) => {
    names.push(name);
    return act({ set: () => undefined, rename: () => undefined, fail: () => undefined });
  });
  onTestFinished(() => setTracer(undefined));
  traceVault(vault);
  const value = 'ghp_0123456789';
  await vault.update(caller(), { service_id: 'github', credentials: { github_token: value } });
  expect((await vault.status(caller(), { service_id: 'github' })).required_credentials_added).toBe(true);
  await expect(vault.stacks.delete(caller(), 'unknown')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await vault.definitions.loadApproved();
  expect(names).toStrictEqual(['vault.update', 'commit', 'vault.status', 'vault.stacks.delete', 'commit']);
});
