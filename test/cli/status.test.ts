/** `keyhold status` and `keyhold delete`. */
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { compose } from '../../src/app/compose.ts';
import type { CredentialStatus, CredentialSummary } from '../../src/contract/credential.ts';
import { LIST_PAGE_MAX } from '../../src/contract/limits.ts';
import { keyhold, keyholdJson, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';
import { INTRANET } from '../kit/vault/custom_service.ts';
import { flipBit, readCredentialRows, replaceRecords } from '../kit/vault/database.ts';

const LINEAR_KEY = 'lin_api_abc123def456789';

let home: string;
beforeEach(() => {
  home = newHome();
});
afterEach(() => removeHome(home));

interface AllStatuses {
  readonly public_key: string | null;
  readonly credentials: readonly CredentialSummary[];
  readonly more: boolean;
}
type OneStatus = CredentialStatus & { readonly public_key: string | null };

describe('status', () => {
  test('status without a vault suggests store and creates nothing', async () => {
    expect(await keyholdOk(home, ['status'])).toMatch(/no vault yet.*\nNext: keyhold store SERVICE/);
    expect(await keyholdJson(home, ['status'])).toEqual({
      public_key: null,
      fingerprint: null,
      credentials: [],
      more: false,
    });
    expect(await keyholdJson(home, ['status', 'linear'])).toMatchObject({
      public_key: null,
      status: 'missing',
    });
    expect(fs.existsSync(home)).toBe(false);
  });

  test('status of an empty vault suggests store', async () => {
    await keyholdOk(home, ['init']);
    expect(await keyholdOk(home, ['status'])).toMatch(/no credentials here yet.*\nNext: keyhold store/);
  });

  test('status exits with 5 if the vault is missing but its key exists, and creates nothing', async () => {
    await keyholdOk(home, ['init']);
    fs.rmSync(path.join(home, 'data'), { recursive: true });
    const { code, stderr } = await keyhold(home, ['status']);
    expect(code).toBe(5);
    expect(stderr).toMatch(/^error: /);
    expect(fs.existsSync(path.join(home, 'data'))).toBe(false);
  });

  test('status exits with 5 for the start of several service ids, and suggests them', async () => {
    const { code, stderr } = await keyhold(home, ['status', 'google_']);
    expect(code).toBe(5);
    expect(stderr).toContain(
      'Did you mean one of: google_analytics, google_calendar, google_chat, google_contacts, google_docs, ...?',
    );
  });

  test('status prints a table of the credentials, newest first', async () => {
    await keyholdOk(home, ['store', 'datadog'], { stdin: 'abc' });
    await keyholdOk(home, ['store', 'linear', '--name', 'work'], { stdin: LINEAR_KEY });
    const lines = (await keyholdOk(home, ['status'])).split('\n');
    expect(lines[0]).toMatch(/^SERVICE +NAME +STATUS +MISSING +CHANGED +BY$/);
    expect(lines[1]).toMatch(/^linear +work +active +(?:just now|\d seconds? ago) +me$/);
    expect(lines[2]).toMatch(/^datadog +incomplete +datadog_site +(?:just now|\d seconds? ago) +me$/);
  });

  test('status prints colours in a terminal only, and none with NO_COLOR or TERM=dumb', async () => {
    await keyholdOk(home, ['store', 'linear'], { stdin: LINEAR_KEY });
    expect(await keyholdOk(home, ['status'], { terminal: true })).toContain('\u001b[32mactive');
    expect(await keyholdOk(home, ['status'])).not.toContain('\u001b');
    for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) {
      expect(await keyholdOk(home, ['status'], { terminal: true, env })).not.toContain('\u001b');
    }
  });

  test('status --json prints the public key and the credentials', async () => {
    await keyholdOk(home, ['store', 'linear'], { stdin: LINEAR_KEY });
    const all = await keyholdJson<AllStatuses>(home, ['status']);
    expect(Object.keys(all)).toEqual(['public_key', 'fingerprint', 'credentials', 'more']);
    expect(all.credentials).toMatchObject([{ service_id: 'linear', status: 'active' }]);
    const one = await keyholdJson<OneStatus>(home, ['status', 'linear']);
    expect(one.public_key).toBe(all.public_key);
    expect(Buffer.from(one.public_key ?? '', 'base64')).toHaveLength(32);
    expect(one).toMatchObject({ status: 'active', required_credentials: { linear_api_key: 'added' } });
  });

  test('status accepts the start of a service id, an alias, a UUID and upper case', async () => {
    await keyholdOk(home, ['store', 'linear'], { stdin: LINEAR_KEY });
    const { id } = await keyholdJson<{ id: string }>(home, ['services', 'show', 'linear']);
    for (const typed of ['linea', 'linear_app', id, 'LINEAR']) {
      expect((await keyholdJson<OneStatus>(home, ['status', typed])).status).toBe('active');
    }
  });

  test('status of one service lists its fields and the next command', async () => {
    await keyholdOk(home, ['store', 'datadog'], { stdin: 'abc' });
    const text = await keyholdOk(home, ['status', 'datadog']);
    expect(text).toMatch(/^Datadog: incomplete\nChanged .+ by me\nCredential [0-9a-f-]{36} \(api_key\)\n/);
    expect(text).toMatch(/datadog_site +required +missing/);
    expect(text).toContain('Next: keyhold update datadog datadog_site');
  });

  test('the next command keeps --name and --stack, without which it would change another credential', async () => {
    const where = ['--name', "Ann's", '--stack', 'team'];
    const kept = String.raw` --name 'Ann'\''s' --stack team`;
    expect(await keyholdOk(home, ['status', 'datadog', ...where])).toContain(
      'Next: keyhold store datadog with the same --name and --stack\n',
    );
    expect(await keyholdOk(home, ['status', ...where])).toContain(
      'Next: keyhold store SERVICE with the same --name and --stack (',
    );
    await keyholdOk(home, ['store', 'datadog', ...where], { stdin: 'abc' });
    expect(await keyholdOk(home, ['status', 'datadog', ...where])).toContain(
      `Next: keyhold update datadog datadog_site${kept}\n`,
    );
    expect(
      await keyholdOk(home, ['update', 'datadog', 'datadog_site', '--yes', ...where], {
        stdin: 'datadoghq.eu',
      }),
    ).toContain(`Next: keyhold status datadog${kept}\n`);
    const missing = await keyhold(home, ['delete', 'linear', '--stack', 'team', '--yes']);
    expect(missing.stderr).toContain('`keyhold status` with the same --stack lists the credentials.');
    const several = await keyhold(home, ['store', 'postgresql', ...where], { stdin: 'x' });
    expect(several.stderr).toContain('`keyhold store postgresql` with the same --name and --stack');
  });

  test('status of a missing credential lists the names of other credentials of the service', async () => {
    await keyholdOk(home, ['store', 'linear', '--name', 'work'], { stdin: LINEAR_KEY });
    const text = await keyholdOk(home, ['status', 'linear']);
    expect(text).toContain('Linear: missing');
    expect(text).toContain('Stored under other names: work');
  });
});

describe('delete', () => {
  beforeEach(() => keyholdOk(home, ['store', 'linear'], { stdin: LINEAR_KEY }));
  const statusOfLinear = async () => (await keyholdJson<OneStatus>(home, ['status', 'linear'])).status;

  test('delete without a terminal exits with 2 and deletes nothing unless --yes is given', async () => {
    const { code, stderr } = await keyhold(home, ['delete', 'linear']);
    expect(code).toBe(2);
    expect(stderr).toContain('--yes');
    expect(await statusOfLinear()).toBe('active');
  });

  test('delete exits with 5 for an incomplete service id, even with --yes', async () => {
    const { code, stderr } = await keyhold(home, ['delete', 'linea', '--yes']);
    expect(code).toBe(5);
    expect(stderr).toContain('Did you mean linear?');
    expect(await statusOfLinear()).toBe('active');
  });

  test('delete exits with 5 if no such credential exists', async () => {
    const { code } = await keyhold(home, ['delete', 'github', '--yes']);
    expect(code).toBe(5);
  });

  test('delete prompts in a terminal, and Enter deletes nothing', async () => {
    const typed = [[/Delete the credential of Linear\?/, '\r']] as const;
    const { code, stdout, stderr } = await keyhold(home, ['delete', 'linear'], { terminal: true, typed });
    expect(code).toBe(0);
    expect(stdout).toBe('');
    expect(stderr).toContain('Nothing was deleted.');
    expect(await statusOfLinear()).toBe('active');
  });

  test('delete in a terminal deletes the credential after a yes', async () => {
    const typed = [[/Delete the credential of Linear\?/, 'y']] as const;
    const { code, stdout } = await keyhold(home, ['delete', 'linear'], { terminal: true, typed });
    expect(code).toBe(0);
    expect(stdout).toBe('Deleted the credential of Linear.\n');
    expect(await statusOfLinear()).toBe('missing');
  });

  test('delete --yes deletes the credential without a prompt', async () => {
    expect(await keyholdJson(home, ['delete', 'linear', '--yes'])).toEqual({ success: true });
    expect(await statusOfLinear()).toBe('missing');
  });

  test('delete removes a damaged credential, for which status and store exit with 12', async () => {
    const [row] = await readCredentialRows(home);
    if (row === undefined) throw new Error('no row');
    await replaceRecords(home, [{ ...row, sealed_meta: flipBit(row.sealed_meta, 99) }]);
    for (const argv of [
      ['status', 'linear'],
      ['store', 'linear'],
    ])
      expect((await keyhold(home, argv, { stdin: LINEAR_KEY })).code).toBe(12);
    await keyholdOk(home, ['delete', 'linear', '--yes']);
    expect(await statusOfLinear()).toBe('missing');
    await keyholdOk(home, ['store', 'linear'], { stdin: LINEAR_KEY });
    expect(await keyholdJson(home, ['audit', 'verify'])).toMatchObject({ ok: true });
  });

  test('delete removes a credential whose service definition was deleted', async () => {
    const file = path.join(home, 'own.json');
    fs.writeFileSync(file, JSON.stringify(INTRANET));
    await keyholdOk(home, ['services', 'add', file, '--yes']);
    await keyholdOk(home, ['store', 'intranet'], { stdin: 'abc' });
    fs.rmSync(path.join(home, 'services', 'intranet.json'));
    expect(await keyholdJson<AllStatuses>(home, ['status'])).toMatchObject({
      credentials: [{ service_id: 'intranet' }, { service_id: 'linear' }],
    });
    await keyholdOk(home, ['delete', 'intranet', '--yes']);
    expect((await keyholdJson<AllStatuses>(home, ['status'])).credentials).toHaveLength(1);
  });

  test('delete finds the credential of a removed service among more than 100 newer ones', async () => {
    const file = path.join(home, 'own.json');
    fs.writeFileSync(file, JSON.stringify(INTRANET));
    await keyholdOk(home, ['services', 'add', file, '--yes']);
    await keyholdOk(home, ['store', 'intranet'], { stdin: 'abc' });
    fs.rmSync(path.join(home, 'services', 'intranet.json'));
    const app = compose({
      env: { KEYHOLD_HOME: home },
      promptSecret: async () => undefined,
      now: () => new Date(),
    });
    const vault = await app.openVault('no', 'cli');
    for (let count = 0; count < LIST_PAGE_MAX; count++) {
      const value = { credential_type: 'api_key', credential_value: LINEAR_KEY } as const;
      await vault.store(app.caller('cli'), { service_id: 'linear', name: `name${count}`, ...value });
    }
    await vault.close();
    await keyholdOk(home, ['delete', 'intranet', '--yes']);
    const again = await keyhold(home, ['delete', 'intranet', '--yes']);
    expect(again).toMatchObject({ code: 5, stderr: expect.stringContaining('No such credential') });
    const unknown = await keyhold(home, ['delete', 'Not an id', '--yes']);
    expect(unknown).toMatchObject({ code: 5, stderr: expect.stringContaining('No service has this id') });
  });
});
