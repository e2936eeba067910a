/** `keyhold serve` verifies the audit logs of all organizations after its start, and does not delay requests for it. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { type VerifyAtStartOptions, verifyAtStart } from '../../src/app/background/verify_at_start.ts';
import { createMetrics } from '../../src/http/metrics.ts';
import { type LogLine as CollectedLine, collectingLog, startServeProcess } from '../kit/http/http_server.ts';
import { readCredentialRows, replaceRecords } from '../kit/vault/database.ts';
import { copyHome, openTestVault } from '../kit/vault/temp_vault.ts';
import { openTenants } from '../kit/vault/tenants.ts';

const BEARER = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' } as const;

type LogLine = Readonly<Record<string, unknown>>;

function linesWith(stderr: string, msg: string): LogLine[] {
  return stderr
    .split('\n')
    .filter((line) => line.includes(`"${msg}"`))
    .map((line) => JSON.parse(line) as LogLine);
}

async function metricsOf(url: string): Promise<Record<string, number>> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line.startsWith('keyhold_audit_'));
  return Object.fromEntries(lines.map((line) => [line.split(' ')[0], Number(line.split(' ')[1])]));
}

/** A closed vault with the organizations local, acme and other; acme has credentials. */
async function threeOrganizations(credentials: number): Promise<string> {
  const tenants = await openTenants();
  const admin = await tenants.admin('acme');
  await tenants.admin('other');
  await Promise.all(
    Array.from({ length: credentials }, (_, at) => tenants.vault.store(admin, { ...BEARER, name: `${at}` })),
  );
  await tenants.vault.close();
  return tenants.home;
}

describe('the verification after the start of serve', () => {
  test('serve logs the number of entries of all organizations and no problem for an intact vault', async () => {
    const home = await threeOrganizations(3);
    const server = await startServeProcess({ home });
    const before = await metricsOf(server.url);
    // On a busy machine the verification may have ended before the first response.
    if (linesWith(server.stderr(), 'verified audit logs').length === 0)
      expect(before).toEqual({ keyhold_audit_verified: 0, keyhold_audit_findings: 0 });
    await vi.waitFor(
      () =>
        expect(linesWith(server.stderr(), 'verified audit logs')).toEqual([
          expect.objectContaining({ level: 30, organizations: 3, findings: 0 }),
        ]),
      { timeout: 20_000 },
    );
    expect(await metricsOf(server.url)).toEqual({ keyhold_audit_verified: 1, keyhold_audit_findings: 0 });
    expect(await server.end()).toEqual({ code: 0, signal: null });
  });

  test('serve logs each problem of any organization as an error, counts them, and serves on', async () => {
    const home = await threeOrganizations(2);
    const [first, second] = await readCredentialRows(home);
    if (first === undefined || second === undefined) throw new Error('no rows');
    await replaceRecords(home, [{ ...first, sealed_meta: Buffer.alloc(200) }], [second.seq]);
    const server = await startServeProcess({ home });
    await vi.waitFor(
      () => expect(linesWith(server.stderr(), 'audit verification found a problem')).toHaveLength(2),
      { timeout: 20_000 },
    );
    const problems = linesWith(server.stderr(), 'audit verification found a problem');
    expect(problems.map(({ level, organization, kind }) => [level, organization, kind])).toEqual(
      expect.arrayContaining([
        [50, 'acme', 'record_damaged'],
        [50, 'acme', 'record_missing'],
      ]),
    );
    await vi.waitFor(
      async () =>
        expect(await metricsOf(server.url)).toEqual({ keyhold_audit_verified: 1, keyhold_audit_findings: 2 }),
      { timeout: 20_000 },
    );
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    expect(await server.end()).toEqual({ code: 0, signal: null });
  });

  test('serve responds while it verifies a long log, and stops at once', async () => {
    const { home, vault, caller } = await openTestVault();
    await Promise.all(
      Array.from({ length: 3_000 }, (_, at) => vault.store(caller(), { ...BEARER, name: `${at}` })),
    );
    await vault.close();
    const server = await startServeProcess({ home: await copyHome(home) });
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    for (let at = 0; at < 20; at++) expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
    const began_ms = performance.now();
    expect(await server.end()).toEqual({ code: 0, signal: null });
    expect(performance.now() - began_ms).toBeLessThan(8_000);
    expect(linesWith(server.stderr(), 'audit verification failed')).toEqual([]);
  });
});

describe('a verification that an outage interrupts', () => {
  /** A vault with an entry, whose verification rejects with UNAVAILABLE until the anchor is removed. */
  async function unverifiableVault() {
    const opened = await openTestVault();
    await opened.vault.store(opened.caller(), { ...BEARER });
    const anchor = join(opened.home, 'keys', 'anchor');
    mkdirSync(dirname(anchor), { recursive: true });
    writeFileSync(anchor, '{"format": 1000}');
    await expect(opened.vault.verifyAudit(opened.caller())).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    return { ...opened, anchor };
  }

  async function run(
    { vault, caller }: Pick<VerifyAtStartOptions, 'vault' | 'caller'>,
    retry_after_ms: readonly number[],
    onRetry: () => void = () => undefined,
  ) {
    const lines: CollectedLine[] = [];
    const collecting = collectingLog(lines);
    const log: VerifyAtStartOptions['log'] = {
      ...collecting,
      warn: (fields, message) => {
        collecting.warn(fields, message);
        onRetry();
      },
    };
    const metrics = await createMetrics(false);
    const { signal } = new AbortController();
    await verifyAtStart({ vault, caller, log, signal, retry_after_ms, onResult: metrics.verified });
    const gauges = (await metrics.text()).split('\n').filter((line) => line.startsWith('keyhold_audit_'));
    return { gauges, messages: lines.map(({ message }) => message) };
  }

  test('is repeated until the outage ends, and reports no problem', async () => {
    const { anchor, ...opened } = await unverifiableVault();
    let retries = 0;
    const { gauges, messages } = await run(opened, [1, 1, 1], () => {
      retries += 1;
      if (retries === 2) rmSync(anchor);
    });
    expect(gauges).toEqual(['keyhold_audit_verified 1', 'keyhold_audit_findings 0']);
    const repeated = 'audit verification is repeated after a pause';
    expect(messages).toEqual([repeated, repeated, 'verified audit logs']);
  });

  test('leaves keyhold_audit_verified at 0 and reports no problem if the outage does not end', async () => {
    const { gauges, messages } = await run(await unverifiableVault(), [1, 1]);
    expect(gauges).toEqual(['keyhold_audit_verified 0', 'keyhold_audit_findings 0']);
    expect(messages.slice(2)).toEqual(['audit verification failed', 'some audit logs were not verified']);
  });

  test('leaves keyhold_audit_verified at 0 if the organizations cannot be listed', async () => {
    const opened = await openTestVault();
    await opened.vault.close();
    const { gauges, messages } = await run(opened, [1]);
    expect(gauges).toEqual(['keyhold_audit_verified 0', 'keyhold_audit_findings 0']);
    expect(messages.slice(1)).toEqual(['audit verification failed']);
  });
});
