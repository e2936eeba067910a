/** Nodes of one vault count together: several open vaults on one store. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

const KEYS_MAX = 100;
/** Two exchanges, and some time for a loaded machine. */
const EXCHANGED_MS = 2_500;
type Node = Awaited<ReturnType<typeof openNode>>;

async function openNode(home: string, now = () => new Date()) {
  const { vault } = await openTestVault(home, {}, undefined, { now });
  const windows = vault.nodes.windows('events', 10, KEYS_MAX);
  await vault.nodes.join();
  onTestFinished(() => vault.nodes.leave());
  return { vault, windows };
}

const countOf = ({ windows }: Node, key: string) => windows.read(key, performance.now())?.count;

describe('Nodes', () => {
  test('a node that is alone knows no others and counts by itself', async () => {
    const { vault, windows } = await openNode(temporaryFolder());
    windows.add('a', performance.now());
    await sleep(EXCHANGED_MS);
    expect(vault.nodes.hasOthers).toBe(false);
    expect(windows.read('a', performance.now())?.count).toBe(1);
  });

  test('two nodes count together within two seconds, by key, each event once', async () => {
    const home = temporaryFolder();
    const first = await openNode(home);
    for (let count = 0; count < 3; count++) first.windows.add('a', performance.now());
    const second = await openNode(home);
    second.windows.add('a', performance.now());
    second.windows.add('b', performance.now());
    for (const node of [first, second]) {
      await expect.poll(() => [countOf(node, 'a'), countOf(node, 'b')]).toEqual([4, 1]);
      expect(node.vault.nodes.hasOthers).toBe(true);
      expect(countOf(node, 'c')).toBeUndefined();
    }
    const ends = [first, second].map(({ windows }) => windows.read('a', performance.now())?.ends_ms ?? 0);
    expect(Math.abs((ends[0] ?? 0) - (ends[1] ?? 0))).toBeLessThan(100);
    const exchanges_ms: number[] = [];
    for (let count = 5; count <= 8; count++) {
      const added_ms = performance.now();
      expect(second.windows.add('a', added_ms).count).toBe(count);
      await expect.poll(() => countOf(first, 'a')).toBe(count);
      exchanges_ms.push(performance.now() - added_ms);
    }
    // The shortest, because a loaded machine delays some.
    expect(Math.min(...exchanges_ms)).toBeLessThan(EXCHANGED_MS);
  });

  test('counts of another node end with their minute, also if that node was killed', async () => {
    const home = temporaryFolder();
    const first = await openNode(home);
    const second = await openNode(home);
    second.windows.add('a', performance.now());
    await expect.poll(() => countOf(first, 'a')).toBe(1);
    expect(first.windows.read('a', performance.now() + 60_000)).toBeUndefined();
    expect(first.windows.add('a', performance.now() + 60_000).count).toBe(1);
  });

  test('a node that leaves is forgotten by the others', async () => {
    const home = temporaryFolder();
    const first = await openNode(home);
    const second = await openNode(home);
    await expect.poll(() => first.vault.nodes.hasOthers).toBe(true);
    await second.vault.nodes.leave();
    await expect.poll(() => first.vault.nodes.hasOthers).toBe(false);
  });

  test('a killed node is forgotten after three minutes, and its record is deleted', async () => {
    const home = temporaryFolder();
    // Its clock is five minutes late, and it never leaves.
    const late = await openTestVault(home, {}, undefined, { now: () => new Date(Date.now() - 300_000) });
    await late.vault.nodes.join();
    const first = await openNode(home);
    expect(first.vault.nodes.hasOthers).toBe(false);
    await late.vault.nodes.leave();
  });

  test('a record holds the thousand counts that are nearest to their limits', async () => {
    const home = temporaryFolder();
    const first = await openNode(home);
    const { vault } = await openTestVault(home, {}, 'no');
    const own = vault.nodes.windows('events', 10, 5_000);
    for (let key = 0; key < 3_000; key++) own.add(`once ${key}`, performance.now());
    for (let key = 0; key < 500; key++)
      for (let count = 0; count < 5; count++) own.add(`often ${key}`, performance.now());
    await vault.nodes.join();
    onTestFinished(() => vault.nodes.leave());
    const keys = [...Array(500).keys()];
    await expect.poll(() => keys.filter((key) => countOf(first, `often ${key}`) === 5)).toHaveLength(500);
    const single = [...Array(3_000).keys()].filter((key) => countOf(first, `once ${key}`) !== undefined);
    expect(single).toHaveLength(500);
  });

  test('the audit verification accepts the records of nodes', async () => {
    const home = temporaryFolder();
    const first = await openNode(home);
    const { vault, caller } = await openTestVault(home, {}, 'no');
    expect((await vault.verifyAudit(caller())).findings).toEqual([]);
    expect(first.vault.nodes.hasOthers).toBe(false);
  });
});
