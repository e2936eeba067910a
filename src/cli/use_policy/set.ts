/** `keyhold update` with options of a use policy: changes what the uses of a stored credential are limited to. */
import { VaultError } from '../../contract/errors.ts';
import type { Service } from '../../contract/service/service.ts';
import { describePolicy } from '../../contract/use/rules.ts';
import type { VaultConnection } from '../connect/vault_connection.ts';
import type { CliContext } from '../context.ts';
import { print, printJson } from '../terminal/output.ts';
import type { UsePolicyOptions } from './options.ts';
import { parseUsePolicy } from './parse.ts';

interface Options extends UsePolicyOptions {
  readonly policy?: boolean;
  readonly create?: boolean;
  readonly name?: string;
  readonly stack?: string;
  readonly json?: boolean;
}

/** Whether one of the options of a use policy was given, or --no-policy. */
export function changesPolicy(options: Options): boolean {
  const { readOnly, methods, pathPrefix, callsPerMinute, useUntil, approve, policy } = options;
  const given = [readOnly, methods, pathPrefix, callsPerMinute, useUntil, approve];
  return policy === false || given.some((one) => one !== undefined);
}

/** `takes_more`: other arguments give values or a protection, which are another change with another permission. */
export async function setPolicy(
  context: CliContext,
  connection: VaultConnection,
  service: Service,
  options: Options,
  takes_more: boolean,
): Promise<void> {
  if (takes_more || options.create === true) {
    const message = 'Change the limits of a credential, and its values or protection, with two commands.';
    throw new VaultError('INVALID_INPUT', message);
  }
  const use_policy = parseUsePolicy(options, new Date()) ?? {};
  if (connection.isVaultAbsent()) {
    const message = `There is no credential of ${service.name} to limit. Store one with \`keyhold store ${service.slug}\`.`;
    throw new VaultError('NOT_FOUND', message);
  }
  const output = await connection.withVault('existing', (vault) =>
    vault.setUsePolicy({
      service_id: service.slug,
      stack_id: options.stack,
      name: options.name,
      use_policy,
      ...(options.policy === false ? { replace: true } : {}),
    }),
  );
  if (options.json === true) return printJson(context, output);
  const limits = describePolicy(output.use_policy);
  const message =
    limits === null
      ? `Uses of ${service.name} have no limits.`
      : `Uses of ${service.name} are limited to ${limits}.`;
  await print(context, message);
}
