/** The installed package: its types resolve, it starts, and it works without a configured home folder. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { projectWithKeyhold, ROOT } from './installed_package.ts';

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

/** Uses every type that the package exports. The wrong uses are errors, and would be missed if types were `any`. */
const CONSUMER = `
import { openVault, VaultError } from 'keyhold';
import type {
  AuditEntry, AuditFinding, AuditReport, CredentialStatus, DeleteInput, ErrorCode, ErrorReason, ListedService,
  ListServicesInput, CredentialSummary, OpenedVault, OpenOptions, StatusInput, StoreInput, StoreOutput, UpdateInput,
  UpdateOutput, VaultTool,
} from 'keyhold';

const options: OpenOptions = { home: '/tmp/consumer', create: false };
const vault: OpenedVault = await openVault(options);
const to_store: StoreInput = { service_id: 'linear', credential_type: 'api_key', credential_value: 'x' };
const stored: StoreOutput = await vault.storeCredential(to_store);
const id: string = stored.credential_id;
const to_update: UpdateInput = { service_id: 'gmail', credentials: { gmail_oauth_token: id } };
const updated: UpdateOutput = await vault.updateCredentials(to_update);
const message: 'Credentials updated successfully' | 'The values wait for approval' = updated.message;
const of_one: StatusInput & { service_id: string } = { service_id: 'gmail', name: 'work' };
const status: CredentialStatus = await vault.getCredentialStatus(of_one);
const presence: 'added' | 'missing' | undefined = status.required_credentials['gmail_oauth_token'];
const { credentials, more } = await vault.listCredentials({ stack_id: 'team' });
const named: readonly CredentialSummary[] = credentials;
const words: ListServicesInput = { query: 'mail' };
const services: readonly ListedService[] = await vault.listServices(words);
const to_delete: DeleteInput = { service_id: 'gmail' };
await vault.deleteCredential(to_delete);
const { entries, next } = await vault.listAudit({ action: 'delete', since: '2026-01-01T00:00:00Z' }, 10, 5);
const all: readonly AuditEntry[] = entries;
const report: AuditReport = await vault.verifyAudit();
const finding: AuditFinding | undefined = report.findings[0];
const tool: VaultTool | undefined = vault.tools[0];
const deleted_text: string | undefined = (await tool?.call({}))?.text;
try {
  await vault.close();
} catch (error) {
  if (error instanceof VaultError) {
    const code: ErrorCode = error.code;
    const reason: ErrorReason | undefined = error.reason;
    if (code === 'NOT_FOUND') console.log(reason);
  }
}
console.log(message, presence, more, named, services, next, all, finding, deleted_text);

// @ts-expect-error a misspelt type of credential
await vault.storeCredential({ service_id: 'linear', credential_type: 'api-key' });
// @ts-expect-error a key that is not there
await vault.updateCredentials({ service_id: 'gmail', credentials: {}, value: 'x' });
// @ts-expect-error a service is needed
await vault.getCredentialStatus({});
// @ts-expect-error values never come back
console.log(status.credentials);
// @ts-expect-error an option that is not there
await openVault({ folder: '/tmp' });
`;

const run = async (project: string, script: string, env: NodeJS.ProcessEnv = {}) => {
  writeFileSync(join(project, 'script.js'), script);
  return promisify(execFile)(process.execPath, ['script.js'], {
    cwd: project,
    env: { PATH: process.env.PATH, ...env },
  });
};

test('the types of keyhold resolve in a strict project that also checks its libraries', async () => {
  const project = projectWithKeyhold(['@types/node', 'undici-types']);
  writeFileSync(join(project, 'consumer.ts'), CONSUMER);
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(TSCONFIG));
  const problems = await promisify(execFile)(process.execPath, [TSC, '-p', project]).then(
    () => '',
    (failed: { stdout?: string }) => failed.stdout ?? String(failed),
  );
  expect(problems).toBe('');
});

test('openVault without a home creates the vault in the data folder of the user only', async () => {
  const project = projectWithKeyhold();
  const before = readdirSync(project).sort();
  const user = temporaryFolder();
  const { stdout, stderr } = await run(
    project,
    `import { openVault } from 'keyhold';
     const vault = await openVault();
     await vault.storeCredential({ service_id: 'linear', credential_type: 'api_key', credential_value: 'secret' });
     console.log((await vault.getCredentialStatus({ service_id: 'linear' })).status);
     await vault.close();`,
    { HOME: user },
  );
  expect({ stdout, stderr }).toStrictEqual({ stdout: 'active\n', stderr: '' });
  const made = readdirSync(user, { recursive: true }).map(String);
  const vault = made.find((path) => path.endsWith('vault.db'));
  const key = made.find((path) => path.endsWith('root.key'));
  for (const path of [vault, key]) expect(statSync(join(user, path ?? '')).mode & 0o777).toBe(0o600);
  expect(readdirSync(project).sort()).toStrictEqual([...before, 'script.js'].sort());
});

test('openVault with a store file and a key from the environment creates no home', async () => {
  const project = projectWithKeyhold();
  const store = join(project, 'embedded.db');
  const nowhere = join(project, 'nowhere');
  const { stdout, stderr } = await run(
    project,
    `import { openVault } from 'keyhold';
     const vault = await openVault({ store: ${JSON.stringify(`sqlite:${store}`)}, root_key: 'env:EMBEDDED_KEY' });
     await vault.updateCredentials({ service_id: 'linear', credentials: { linear_api_key: 'secret' } });
     console.log((await vault.verifyAudit()).ok);
     await vault.close();`,
    {
      HOME: nowhere,
      EMBEDDED_KEY: Buffer.from(Array.from({ length: 32 }, (_, at) => at + 9)).toString('base64'),
    },
  );
  expect({ stdout, stderr }).toStrictEqual({ stdout: 'true\n', stderr: '' });
  expect(existsSync(store)).toBe(true);
  expect(existsSync(nowhere)).toBe(false);
});

test('a program that does not close its vault still exits, and the library prints nothing', async () => {
  const project = projectWithKeyhold();
  const { stdout, stderr } = await run(
    project,
    `import { openVault } from 'keyhold';
     const vault = await openVault({ home: 'home' });
     await vault.storeCredential({ service_id: 'linear', credential_type: 'api_key', credential_value: 'secret' });`,
  );
  expect({ stdout, stderr }).toStrictEqual({ stdout: '', stderr: '' });
});

test('the program of the package, its log included, starts with the declared dependencies only', async () => {
  const project = projectWithKeyhold();
  const program = join(project, 'node_modules', 'keyhold', 'dist', 'keyhold.js');
  const env = { PATH: process.env.PATH, HOME: project, KEYHOLD_HOME: project, KEYHOLD_LOG: 'debug' };
  const keyhold = (...args: string[]) =>
    promisify(execFile)(process.execPath, [program, ...args], { env: { ...env, TOKEN: 'secret' } });
  await keyhold('store', 'linear', '--from-env', 'TOKEN');
  expect(JSON.parse((await keyhold('status', 'linear', '--json')).stdout)).toMatchObject({
    status: 'active',
  });
  expect((await keyhold('audit', 'verify')).stdout).toContain('The audit log is intact');
  const failed = await keyhold('store', 'nothing', '--from-env', 'TOKEN').catch((error: unknown) => error);
  expect(failed).toMatchObject({
    code: 5,
    stderr: expect.stringContaining('No service has this id'),
  });
  expect(String((failed as { stderr: string }).stderr)).toContain('"msg":"command failed"');
});
