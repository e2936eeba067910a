/** Checks that a server can be reached, is healthy and has the version of this program, and what the API key may do. */
import { VaultError } from '../../../contract/errors.ts';
import type { ServerOption } from '../../connect/server_option.ts';
import { readApiKey } from '../../connect/server_option.ts';
import type { CliContext, RemoteClient } from '../../context.ts';
import { checkFailed, type Finding, ok, warn } from './finding.ts';
import { checkAuditLog } from './vault.ts';

export async function checkServer(context: CliContext, option: ServerOption): Promise<Finding[]> {
  const findings: Finding[] = [];
  try {
    const server = await context.connect(option.url, await readApiKey(context, option));
    findings.push(await checkHealth(server));
    const { user, organization, scopes, server_version } = await server.whoAmI();
    findings.push(
      ok('key', `The API key is of ${user} in ${organization}. Its scopes: ${scopes.join(', ') || 'none'}.`),
      checkVersion(context.version, server_version),
    );
    if (scopes.includes('credentials:read')) findings.push(await checkRemoteVault(context, server));
    if (scopes.includes('audit:read'))
      findings.push(
        await checkAuditLog(context, () => server.verifyAudit(), 'report it to the operator of the server.'),
      );
  } catch (error) {
    findings.push(await checkFailed(context, isKeyError(error) ? 'key' : 'server', error));
  }
  return findings;
}

function isKeyError(error: unknown): boolean {
  return error instanceof VaultError && ['UNAUTHENTICATED', 'INVALID_INPUT'].includes(error.code);
}

async function checkHealth(server: RemoteClient): Promise<Finding> {
  const started_ms = performance.now();
  await server.checkHealth();
  return ok('server', `Healthy (${Math.ceil(performance.now() - started_ms)} ms).`);
}

function checkVersion(program_version: string, server_version: string): Finding {
  if (program_version === server_version)
    return ok('version', `The server and this program are Keyhold ${server_version}.`);
  return warn(
    'version',
    `The server is Keyhold ${server_version}, and this program is ${program_version}.`,
    'If something does not work, use the same version of both.',
  );
}

async function checkRemoteVault(context: CliContext, server: RemoteClient): Promise<Finding> {
  try {
    const { credentials, more } = await server.listCredentials();
    const count = `${credentials.length}${more ? ' and more' : ''}`;
    return ok('vault', `It opens; ${count} in the default stack.`);
  } catch (error) {
    return checkFailed(context, 'vault', error);
  }
}
