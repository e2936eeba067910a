/** The doctor's look at a server: whether it can be reached, is well and of this version, and what the API key may do. */
import { VaultError } from '../../../contract/errors.ts';
import { readApiKey } from '../../connect/read_api_key.ts';
import type { ServerOption } from '../../connect/server_option.ts';
import type { CliContext, RemoteClient } from '../../context.ts';
import { checkLog } from './audit_log.ts';
import { checkFailed, type Finding, ok, warn } from './finding.ts';

export async function checkServer(context: CliContext, named: ServerOption): Promise<Finding[]> {
  const findings: Finding[] = [];
  try {
    const server = await context.connect(named.url, await readApiKey(context, named));
    findings.push(await checkReach(server));
    const { user, organization, scopes, server_version } = await server.whoAmI();
    findings.push(
      ok(
        'key',
        `The API key stands for ${user} in ${organization}. It may: ${scopes.join(', ') || 'nothing'}.`,
      ),
      checkVersion(context.version, server_version),
    );
    if (scopes.includes('credentials:read')) findings.push(await checkVault(context, server));
    if (scopes.includes('audit:read'))
      findings.push(await checkLog(context, () => server.verifyAudit(), 'tell who runs the server.'));
  } catch (error) {
    findings.push(await checkFailed(context, isAboutKey(error) ? 'key' : 'server', error));
  }
  return findings;
}

function isAboutKey(error: unknown): boolean {
  return error instanceof VaultError && ['UNAUTHENTICATED', 'INVALID_INPUT'].includes(error.code);
}

async function checkReach(server: RemoteClient): Promise<Finding> {
  const started_ms = performance.now();
  await server.checkHealth();
  return ok('server', `It answers and is well, after ${Math.ceil(performance.now() - started_ms)} ms.`);
}

function checkVersion(own: string, of_server: string): Finding {
  if (own === of_server) return ok('version', `The server is Keyhold ${of_server}, as this program is.`);
  return warn(
    'version',
    `The server is Keyhold ${of_server}, and this program ${own}.`,
    'Use the same version of both, should something not work.',
  );
}

async function checkVault(context: CliContext, server: RemoteClient): Promise<Finding> {
  try {
    const { credentials, more } = await server.listCredentials();
    const count = `${credentials.length}${more ? ' and more' : ''}`;
    return ok('vault', `It opens; ${count} in the default stack.`);
  } catch (error) {
    return checkFailed(context, 'vault', error);
  }
}
