/** `keyhold units`, and the audit log of another organization. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { UnitInfo } from '../../src/contract/api_key.ts';
import { keyhold, keyholdJson, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';

let home: string;
beforeEach(() => {
  home = newHome();
});
afterEach(() => removeHome(home));

describe('units', () => {
  test.each([
    ['an invalid unit name', ['units', 'create', '../sales']],
    ['a missing unit name', ['units', 'create']],
    ['an invalid organization of a new unit', ['units', 'create', 'sales', '--org', 'Acme Inc']],
    ['an excess argument', ['units', 'create', 'sales', 'service']],
    ['an invalid organization of a list', ['units', 'list', '--org', '/']],
  ])('units exits with 2 for %s', async (_what, argv) => {
    await keyholdOk(home, ['init']);
    expect(await keyhold(home, argv)).toMatchObject({ code: 2, stdout: '' });
  });

  test.each([
    [['units', 'create', 'a b'], 'the name of the unit must'],
    [['users', 'remove', 'a b', '--yes'], 'the name of the user must'],
    [['seal', 'linear', '--user', 'a b'], '--user must'],
  ])('%j names the invalid argument', async (argv, expected) => {
    await keyholdOk(home, ['init']);
    const { code, stderr } = await keyhold(home, argv, { stdin: 'x' });
    expect(code).toBe(2);
    expect(stderr).toContain(`Invalid input: ${expected}`);
    expect(stderr).not.toContain('a b');
  });

  test('units create creates a unit once, and units list lists it', async () => {
    const made = await keyholdJson<UnitInfo>(home, ['units', 'create', 'sales', '--org', 'acme']);
    expect(made).toMatchObject({ name: 'sales', id: expect.stringMatching(/^[0-9a-f-]{36}$/) });
    expect(await keyholdJson(home, ['units', 'create', 'sales', '--org', 'acme'])).toEqual(made);
    const { units } = await keyholdJson<{ units: UnitInfo[] }>(home, ['units', 'list', '--org', 'acme']);
    expect(units.map(({ name }) => name).sort()).toEqual(['sales']);
    expect(units).toContainEqual(made);
    const shown = await keyholdOk(home, ['units', 'list', '--org', 'acme']);
    expect(shown).toMatch(/^ID +NAME +CREATED\n/);
    expect(shown).toContain(made.id);
    const own = await keyholdJson<{ units: UnitInfo[] }>(home, ['units', 'list']);
    expect(own.units).toEqual([]);
  });

  test('units create suggests the command that creates a key in the unit', async () => {
    const out = await keyholdOk(home, ['units', 'create', 'sales', '--org', 'acme']);
    expect(out).toContain('Next: keyhold keys create --user USER --unit sales --org acme');
  });

  test('units create and keys create print once that they created the organization, and not with --json', async () => {
    const made = 'Created the organization acme.\n';
    const unit = ['units', 'create', 'sales', '--org', 'acme'];
    expect((await keyhold(home, unit)).stderr).toBe(made);
    expect((await keyhold(home, unit)).stderr).toBe('');
    const key = (org: string) => ['keys', 'create', '--org', org, '--user', 'ana'];
    expect((await keyhold(home, key('acme'))).stderr).not.toContain('organization');
    expect((await keyhold(home, key('amce'))).stderr).toMatch(
      /^Created the organization amce\.\nCreated the API key/,
    );
    expect((await keyhold(home, [...key('other'), '--json'])).stderr).toBe('');
    expect((await keyhold(home, [...key('third'), '--services', 'no_such'])).stderr).not.toContain('Created');
  });

  test('units list exits with 5 for an unknown organization', async () => {
    await keyholdOk(home, ['init']);
    expect(await keyhold(home, ['units', 'list', '--org', 'no_such'])).toMatchObject({ code: 5, stdout: '' });
  });
});

describe('audit --org', () => {
  interface Page {
    readonly entries: readonly { readonly action: string; readonly record_id: string | null }[];
  }

  test('audit list and audit verify read the log of the organization in --org', async () => {
    const { id } = await keyholdJson<{ id: string }>(home, [
      ...['keys', 'create', '--org', 'acme', '--user', 'ana'],
    ]);
    const page = await keyholdJson<Page>(home, ['audit', 'list', '--org', 'acme']);
    expect(page.entries.map(({ action }) => action)).toEqual(
      expect.arrayContaining(['create_key', 'create_user', 'init']),
    );
    const own = await keyholdJson<Page>(home, ['audit', 'list']);
    expect(own.entries.map(({ action }) => action)).not.toContain('create_key');
    const of_key = await keyholdJson<Page>(home, ['audit', 'list', '--org', 'acme', '--record', id]);
    expect(of_key.entries.map(({ action }) => action)).toEqual(['create_key']);
    expect(await keyholdOk(home, ['audit', 'verify', '--org', 'acme'])).toContain('The audit log is intact');
  });

  test('audit list and audit verify exit with 5 for an unknown organization and 2 for an invalid one', async () => {
    await keyholdOk(home, ['init']);
    for (const verb of ['list', 'verify']) {
      expect((await keyhold(home, ['audit', verb, '--org', 'no_such'])).code).toBe(5);
      expect((await keyhold(home, ['audit', verb, '--org', 'No Such'])).code).toBe(2);
    }
  });
});

describe('users remove', () => {
  test('users remove names the organization in its question and prints no data if it is declined', async () => {
    await keyholdOk(home, ['keys', 'create', '--user', 'ana', '--org', 'acme']);
    const argv = ['users', 'remove', 'ana', '--org', 'acme'];
    const { code, stdout, stderr } = await keyhold(home, [...argv, '--json'], {
      terminal: true,
      typed: [[/Delete the user ana of the organization acme/, 'n']],
    });
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(stderr).toContain('Nothing was deleted.');
    expect(await keyholdOk(home, [...argv, '-y'])).toMatch(/^Removed ana/);
  });

  test('users remove reports an unknown organization before it prompts', async () => {
    await keyholdOk(home, ['init']);
    const { code, stderr } = await keyhold(home, ['users', 'remove', 'ana', '--org', 'none'], {
      terminal: true,
    });
    expect(code).toBe(5);
    expect(stderr).not.toContain('Delete');
  });
});
