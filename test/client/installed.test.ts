/** `keyhold/client` as an installed package: one file without imports, with types that resolve. */
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { startServeProcess } from '../kit/http/http_server.ts';
import { projectWithKeyhold, ROOT } from '../library/installed_package.ts';

const TSC = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
const TSCONFIG = {
  compilerOptions: {
    target: 'es2022',
    module: 'nodenext',
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    noEmit: true,
    types: ['node'],
  },
  files: ['consumer.ts'],
};

/** The wrong uses must be type errors; they would compile if types were `any`. */
const CONSUMER = `
import { KeyholdClient, KeyholdError } from 'keyhold/client';
import type {
  ApiKeyInfo, ApiKeyList, AuditEntry, AuditFilter, AuditFinding, AuditPage, AuditReport, CallInput, CallOutput,
  ClientOptions, CreateKeyInput, ServiceStream, SetUsePolicyInput, SetUsePolicyOutput, StackSummary, UseMethod, UsePolicy,
  CredentialStatus, DeleteInput, ErrorCode, ErrorReason, OrganizationOption, ListedService, ListServicesInput, CredentialSummary,
  NewApiKey, CredentialStatusInput, Service, StatusInput, StoreInput, StoreOutput, UnitInfo, UpdateInput, UpdateOutput,
  LastTest, TestInput, TestOutput, TestReason, TestResult, VaultClient, WhoAmI,
} from 'keyhold/client';
import { openVault } from 'keyhold';

const options: ClientOptions = { url: 'https://keyhold.example.com', key: 'kh_x', timeout_ms: 1_000 };
const client = new KeyholdClient(options);
const to_store: StoreInput = { service_id: 'linear', credential_type: 'api_key', credential_value: 'x' };
const stored: StoreOutput = await client.storeCredential(to_store);
const status: CredentialStatus = await client.getCredentialStatus({ service_id: 'linear' });
const presence: 'added' | 'missing' | undefined = status.required_credentials['linear_api_key'];
const key: NewApiKey = await client.createKey({ organization: 'acme', user: 'ana', scopes: ['credentials:read'] });
const { keys, more }: ApiKeyList = await client.listKeys('acme');
const first: ApiKeyInfo | undefined = keys[0];
const me: WhoAmI = await client.whoAmI();
const page: AuditPage = await client.listAudit({ action: 'delete', organization: 'acme' }, 10);
const report: AuditReport = await client.verifyAudit({ organization: 'acme' });
const units: readonly UnitInfo[] = await client.listUnits();
const call: CallInput = { service_id: 'linear', method: 'POST', path: '/graphql', body: { query: '{ viewer { id } }' } };
const result: CallOutput = await client.callService(call);
const to_test: TestInput = { service_id: 'linear' };
const tested: TestOutput = await client.testCredential(to_test);
const last_test: LastTest | null | undefined = status.last_test;
const found: readonly [TestResult, TestReason] = [tested.result, tested.reason];
console.log(last_test, found);
const stream: ServiceStream = await client.streamService(call);
const stacks: readonly StackSummary[] = await client.listStacks();
const methods: UseMethod[] = ['GET'];
const use_policy: UsePolicy = { methods };
const limit: SetUsePolicyInput = { service_id: 'linear', use_policy: { methods: ['GET'] } };
const limited: SetUsePolicyOutput = await client.setUsePolicy(limit);
console.log(result.ok, stream.status, stacks, use_policy, limited.use_policy);
const definitions: readonly Service[] = await client.listServiceDefinitions();
try {
  await client.revokeKey(key.id);
} catch (error) {
  if (error instanceof KeyholdError) {
    const code: ErrorCode = error.code;
    const status: number | null = error.status;
    const request_id: string | null = error.request_id;
    console.log(code, status, request_id, error.reason satisfies ErrorReason | undefined);
  }
}
console.log(stored.credential_id, presence, more, first, me.scopes, page.next, report.ok, units, definitions);

/** Written once, for a vault in this process and for a server's. */
async function isReady(vault: VaultClient): Promise<boolean> {
  return (await vault.getCredentialStatus({ service_id: 'linear' })).status === 'active';
}
console.log(await isReady(client), await isReady(await openVault()));

// @ts-expect-error a key is needed
new KeyholdClient({ url: 'https://keyhold.example.com' });
// @ts-expect-error a misspelt scope
await client.createKey({ scopes: ['credentials:raed'] });
// @ts-expect-error a service is needed
await client.getCredentialStatus({});
// @ts-expect-error a list shows no key
console.log(first?.key);
`;

describe('keyhold/client', () => {
  test('keyhold/client is one file that imports nothing', () => {
    const code = readFileSync(join(ROOT, 'dist', 'client.js'), 'utf8');
    expect(code).not.toMatch(/^\s*(?:import|export)\b[^;]*\bfrom\s*["']/m);
    expect(code).not.toMatch(/\bimport\s*\(|\brequire\s*\(|\bfrom\s*["']node:/);
    expect(code.length).toBeLessThan(64 * 1024);
  });

  test('the types of keyhold/client resolve in a strict project that also checks its libraries', async () => {
    const project = projectWithKeyhold(['@types/node', 'undici-types']);
    writeFileSync(join(project, 'consumer.ts'), CONSUMER);
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(TSCONFIG));
    const problems = await promisify(execFile)(process.execPath, [TSC, '-p', project]).then(
      () => '',
      (failed: { stdout?: string }) => failed.stdout ?? String(failed),
    );
    expect(problems).toBe('');
  });

  test('a program that calls a server with keyhold/client prints the result and exits', async () => {
    const { url, admin_key } = await startServeProcess();
    const project = projectWithKeyhold();
    writeFileSync(
      join(project, 'script.js'),
      `import { KeyholdClient, KeyholdError } from 'keyhold/client';
       const client = new KeyholdClient({ url: process.env.URL, key: process.env.KEY });
       await client.storeCredential({ service_id: 'linear', credential_type: 'api_key', credential_value: 'secret' });
       console.log((await client.getCredentialStatus({ service_id: 'linear' })).status);
       const wrong = new KeyholdClient({ url: process.env.URL, key: 'kh_wrong' });
       await wrong.whoAmI().catch((error) => console.log(error instanceof KeyholdError, error.code, error.status));`,
    );
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ['script.js'], {
      cwd: project,
      env: { PATH: process.env.PATH, URL: url, KEY: admin_key },
    });
    expect({ stdout, stderr }).toStrictEqual({ stdout: 'active\ntrue UNAUTHENTICATED 401\n', stderr: '' });
  });
});
