/** The procedure of docs/operations.md after a leak of the root key: its commands, run in their order. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { keyhold, keyholdJson, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';
import { ROOT } from '../kit/source_tree.ts';

const ORGANIZATION = 'ORGANIZATION';
const LINEAR_KEY = 'lin_api_abc123def456789';

const row = readFileSync(join(ROOT, 'docs/operations.md'), 'utf8')
  .split('\n')
  .find((line) => line.startsWith('| the root key, or a machine that had it,'));
const commands = [...(row ?? '').matchAll(/`keyhold (rotate [^`]+)`/g)].map(([, args = '']) =>
  args.split(' '),
);

test('the documented commands after a leak of the root key replace the key for sealed values of each organization, and values that are sealed to a former key are refused', async () => {
  const home = newHome();
  onTestFinished(() => removeHome(home));
  await keyholdOk(home, ['init']);
  await keyholdOk(home, ['keys', 'create', '--org', 'acme', '--user', 'ana', '--scopes', 'credentials:read']);
  const sealed = await keyholdOk(home, ['seal', 'linear'], { stdin: LINEAR_KEY });
  // `--retire` keeps the key: it reports the present one.
  const keysOf = async (organizations: readonly string[]) => {
    const keys: string[] = [];
    for (const org of organizations) {
      const args = ['rotate', 'box', '--org', org, '--retire'];
      keys.push((await keyholdJson<{ public_key: string }>(home, args)).public_key);
    }
    return keys;
  };
  const before = await keysOf(['local', 'acme']);
  let organizations: readonly string[] = [];
  expect(commands.length).toBeGreaterThan(3);
  for (const args of commands)
    for (const org of args.includes(ORGANIZATION) ? organizations : [ORGANIZATION]) {
      const out = await keyholdOk(
        home,
        args.map((argument) => argument.replace(ORGANIZATION, org)),
      );
      if (args.includes('--all'))
        organizations = [...out.matchAll(/^(\S+): /gm)].map(([, name = '']) => name);
    }
  expect(organizations.toSorted()).toEqual(['acme', 'local']);
  for (const key of await keysOf(organizations)) expect(before).not.toContain(key);
  const { code, stderr } = await keyhold(home, ['store', 'linear', '--json'], { stdin: sealed });
  expect(code).toBe(2);
  expect(JSON.parse(stderr)).toMatchObject({ error: { reason: 'sealed_value_unreadable' } });
});
