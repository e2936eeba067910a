/** Handles with several processes on one vault: each is used exactly once, also if a process is killed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Caller } from '../../../src/contract/caller.ts';
import { useVaultProcesses } from '../../kit/child/vault_process.ts';
import { runSize } from '../../kit/run_size.ts';
import { openTestVault } from '../../kit/vault/temp_vault.ts';

const processes = useVaultProcesses();
const RACES = runSize({ quick: 5, ci: 10, slow: 100 });
const KILLS = runSize({ quick: 6, ci: 10, slow: 100 });

/** An agent and the person of the same user. */
function callersOf(caller: Caller): { readonly agent: Caller; readonly person: Caller } {
  return { agent: { ...caller, edge: 'mcp' }, person: { ...caller, edge: 'web', is_person: true } };
}

const requestOf = (name: string) => ({ service_id: 'linear', credential_type: 'bearer', name }) as const;

test('two processes that complete one handle at the same time store the value of one of them', async () => {
  const { home, vault, caller } = await openTestVault();
  const { agent, person } = callersOf(caller());
  const [one, two] = await Promise.all([processes.open(home), processes.open(home)]);
  for (let race = 0; race < RACES; race++) {
    const { handle } = await vault.handles.create(agent, requestOf(`race-${race}`));
    const results = await Promise.all([
      one.call('handles.complete', person, [handle, { linear_api_key: 'of-the-first' }]),
      two.call('handles.complete', person, [handle, { linear_api_key: 'of-the-second' }]),
    ]);
    expect(results.map(({ reason }) => reason ?? 'ok').sort()).toEqual(['handle_used', 'ok']);
    const { entries } = await vault.listAudit(agent, { action: 'store' });
    expect(entries.filter(({ name }) => name === `race-${race}`)).toHaveLength(1);
  }
  expect(await vault.verifyAudit(agent)).toMatchObject({ ok: true });
});

test('a process that is killed while it completes a handle has stored the value and used the handle, or neither', {
  timeout: 120_000,
}, async () => {
  const { home, vault, caller } = await openTestVault();
  const { agent, person } = callersOf(caller());
  const outcomes = new Set<string>();
  for (let kill = 0; kill < KILLS; kill++) {
    const name = `kill-${kill}`;
    const { handle } = await vault.handles.create(agent, requestOf(name));
    const victim = await processes.open(home);
    void victim.call('handles.complete', person, [handle, { linear_api_key: 'v' }]);
    await sleep(kill * 2);
    victim.kill();
    const { state } = await vault.handles.status(agent, handle);
    const { status } = await vault.status(agent, { service_id: 'linear', name });
    outcomes.add(`${state} ${status}`);
    if (state === 'pending') await vault.handles.complete(person, handle, { linear_api_key: 'v' });
    expect(await vault.handles.status(agent, handle)).toMatchObject({ state: 'done' });
  }
  expect([...outcomes].filter((one) => one !== 'pending missing' && one !== 'done active')).toEqual([]);
  expect(await vault.verifyAudit(agent)).toMatchObject({ ok: true });
});
