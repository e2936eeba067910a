/** The doctor's look at a server: whether it can be reached, is well and of this version, and what the API key may do. */
import { VaultError } from '../../../contract/errors.ts';
import { readApiKey } from '../../connect/read_api_key.ts';
import type { NamedServer } from '../../connect/server_option.ts';
import type { CliApp, ServerDoor } from '../../context.ts';
import { checkLog } from './audit_log.ts';
import { type Finding, failedWith, ok, warn } from './finding.ts';

export async function checkServer(app: CliApp, named: NamedServer): Promise<Finding[]> {
  const findings: Finding[] = [];
  try {
    const server = await app.connect(named.url, await readApiKey(app, named));
    findings.push(await checkReach(server));
    const { user, organization, scopes, server_version } = await server.whoAmI();
    findings.push(
      ok(
        'key',
        `The API key stands for ${user} in ${organization}. It may: ${scopes.join(', ') || 'nothing'}.`,
      ),
      checkVersion(app.version, server_version),
    );
    if (scopes.includes('credentials:read')) findings.push(await checkVault(app, server));
    if (scopes.includes('audit:read'))
      findings.push(await checkLog(app, () => server.verifyAudit(), 'tell who runs the server.'));
  } catch (error) {
    findings.push(await failedWith(app, isAboutKey(error) ? 'key' : 'server', error));
  }
  return findings;
}

function isAboutKey(error: unknown): boolean {
  return error instanceof VaultError && ['UNAUTHENTICATED', 'INVALID_INPUT'].includes(error.code);
}

async function checkReach(server: ServerDoor): Promise<Finding> {
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

async function checkVault(app: CliApp, server: ServerDoor): Promise<Finding> {
  try {
    const { credentials, more } = await server.listCredentials();
    const count = `${credentials.length}${more ? ' and more' : ''}`;
    return ok('vault', `It opens; ${count} in the default stack.`);
  } catch (error) {
    return failedWith(app, 'vault', error);
  }
}
