/** `--expires` of `keyhold store` and `keyhold update`, and the notice in `keyhold status`. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CredentialStatus } from '../../src/contract/credential.ts';
import { keyhold, keyholdJson, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';

const TOKEN = 'lin_api_abc123def456789';

let home = '';
beforeEach(() => {
  home = newHome();
});
afterEach(() => removeHome(home));

const statusOf = () => keyholdJson<CredentialStatus>(home, ['status', 'linear']);

describe('keyhold store and update with --expires', () => {
  test.each(['later', '2020-01-31', '0d', '2030-02-31T', ''])(
    'refuse --expires "%s" and change nothing',
    async (time) => {
      const stored = await keyhold(home, ['store', 'linear', '--expires', time], { stdin: TOKEN });
      expect([stored.code, stored.stderr]).toEqual([2, expect.stringContaining('--expires')]);
      await keyholdOk(home, ['store', 'linear'], { stdin: TOKEN });
      const updated = await keyhold(home, ['update', 'linear', '--expires', time]);
      expect([updated.code, updated.stderr]).toEqual([2, expect.stringContaining('--expires')]);
      expect((await statusOf()).expires_at).toBeNull();
    },
  );

  test('update --expires exits with 5 for a missing credential and creates none', async () => {
    await keyholdOk(home, ['store', 'linear'], { stdin: TOKEN });
    expect((await keyhold(home, ['update', 'github', '--expires', '30d'])).code).toBe(5);
    expect((await keyhold(home, ['update', 'linear', '--name', 'work', '--expires', '30d'])).code).toBe(5);
  });

  test('refuse --expires with the limits of uses in one command', async () => {
    await keyholdOk(home, ['store', 'linear'], { stdin: TOKEN });
    const { code, stderr } = await keyhold(home, ['update', 'linear', '--read-only', '--expires', '30d']);
    expect([code, stderr]).toEqual([2, expect.stringContaining('two commands')]);
    expect((await statusOf()).expires_at).toBeNull();
  });

  test('store sets the expiry, update changes and removes it, and status shows it 14 days ahead', async () => {
    await keyholdOk(home, ['store', 'linear', '--expires', '2099-01-31'], { stdin: TOKEN });
    expect((await statusOf()).expires_at).toBe('2099-01-31T00:00:00.000Z');
    expect(await keyholdOk(home, ['status', 'linear'])).not.toContain('expires');
    expect(await keyholdOk(home, ['update', 'linear', '--expires', '15d'])).toContain('expires_at');
    expect(await keyholdOk(home, ['status', 'linear'])).not.toContain('expires in');
    await keyholdOk(home, ['update', 'linear', '--expires', '3d']);
    for (const args of [['status', 'linear'], ['status']])
      expect(await keyholdOk(home, args)).toContain('expires in 3 days');
    await keyholdOk(home, ['update', 'linear', 'linear_api_key', '--stdin', '--expires', '2d'], {
      stdin: TOKEN,
    });
    expect(await keyholdOk(home, ['status', 'linear'])).toContain('expires in 2 days');
    await keyholdOk(home, ['update', 'linear', '--expires', 'never']);
    expect((await statusOf()).expires_at).toBeNull();
  });
});
