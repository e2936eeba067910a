/** Protects a stored credential, or ends that. */
import { VaultError } from '../../contract/errors.ts';
import type { Service } from '../../contract/service/service.ts';
import type { CliContext } from '../context.ts';
import { print, printJson } from '../terminal/output.ts';
import type { ProtectOption } from './protect_option.ts';
import type { VaultConnection } from './vault_connection.ts';

interface Selector extends ProtectOption {
  readonly name?: string;
  readonly stack?: string;
  readonly json?: boolean;
}

/** `keyhold update` with --protect or --no-protect and without values. */
export async function setProtection(
  context: CliContext,
  { isVaultAbsent, withLocalVault }: VaultConnection,
  service: Service,
  { protect = true, name, stack: stack_id, json }: Selector,
): Promise<void> {
  if (withLocalVault === undefined || isVaultAbsent()) {
    const message = `There is no credential of ${service.name}. Store one with \`keyhold store ${service.slug} --protect\`.`;
    throw new VaultError('NOT_FOUND', message);
  }
  const input = { service_id: service.slug, name, stack_id };
  const output = await withLocalVault((vault) => vault.setProtected(context.caller(), input, protect));
  if (json === true) return printJson(context, output);
  const message = protect
    ? `Protected ${service.name}: new values of others wait for your approval.`
    : `${service.name} is no longer protected.`;
  await print(context, message);
}
