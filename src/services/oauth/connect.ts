/** How a person connects a service with OAuth, and which fields that needs first. Pure functions. */
import { DEFAULT_STACK } from '../../contract/caller.ts';
import { CONNECT_GRANTS, type ConnectField, type ConnectGrant } from '../../contract/connection.ts';
import { VaultError } from '../../contract/errors.ts';
import type { Service } from '../../contract/service/service.ts';
import { fieldsIn } from '../../contract/service/texts.ts';
import { shellQuote } from '../../io/shell_quote.ts';

/** Empty if no person can connect it: without an endpoint, or without fields for the client id and the access token. */
export function connectGrants({ oauth }: Pick<Service, 'oauth'>): readonly ConnectGrant[] {
  if (oauth?.access_token_field === undefined || oauth.client_id_field === undefined) return [];
  const { grants = ['authorization_code'] } = oauth;
  const endpoints = {
    authorization_code: oauth.authorization_url,
    device_code: oauth.device_authorization_url,
  };
  return CONNECT_GRANTS.filter((grant) => grants.includes(grant) && endpoints[grant] !== undefined);
}

/**
 * The fields that are stored before a connection with this grant, in the order of the definition; `stored`: those with a value.
 * Required are the client id, its secret where there is no PKCE, and all that the service requires except the tokens.
 */
export function connectFields(
  service: Service,
  grant: ConnectGrant,
  stored: readonly string[],
): readonly ConnectField[] {
  const { oauth } = service;
  const received = [
    oauth?.access_token_field,
    oauth?.refresh_token_field,
    ...Object.keys(oauth?.capture ?? {}),
  ];
  const endpoint = grant === 'device_code' ? oauth?.device_authorization_url : oauth?.authorization_url;
  const needs_secret =
    grant === 'authorization_code' && oauth?.pkce !== true && oauth?.client_auth !== 'none';
  const needed = [
    oauth?.client_id_field,
    ...(needs_secret ? [oauth?.client_secret_field] : []),
    ...[endpoint, oauth?.token_url].flatMap((url = '') => fieldsIn(url)),
  ];
  return service.fields
    .filter(({ field_id }) => !received.includes(field_id))
    .map((field) => ({
      field_id: field.field_id,
      required: field.default === undefined && (field.required || needed.includes(field.field_id)),
      added: stored.includes(field.field_id),
      is_client: field.field_id === oauth?.client_secret_field || needed.includes(field.field_id),
    }))
    .filter(({ required, is_client }) => required || is_client)
    .map(({ field_id, required, added }) => ({ field_id, required, added }));
}

/** Throws INVALID_INPUT for a service that is not connected with this grant, and if a required field has no value. */
export function assertConnectable(service: Service, grant: ConnectGrant, stored: readonly string[]): void {
  const { name, slug } = service;
  const grants = connectGrants(service);
  if (!grants.includes(grant)) {
    const message =
      grants.length === 0
        ? `${name} is not connected with OAuth. Store its values with \`keyhold store ${slug}\`.`
        : `${name} is not connected with ${grant === 'device_code' ? 'a device code' : 'an authorization code'}.`;
    throw new VaultError('INVALID_INPUT', message);
  }
  const missing = connectFields(service, grant, stored)
    .filter(({ required, added }) => required && !added)
    .map(({ field_id }) => field_id);
  if (missing.length === 0) return;
  const command = `keyhold update ${slug} ${missing.join(' ')}`;
  throw new VaultError(
    'INVALID_INPUT',
    `${name} is connected with a client that you register there. Add ${missing.join(' and ')} first, for example with \`${command}\`.`,
    { next: `Add the missing fields with \`${command}\`, then connect.` },
  );
}

/** The command with which a person connects a credential. */
export function connectCommand(
  service_id: string,
  stack_id: string = DEFAULT_STACK,
  name: string | null = null,
): string {
  const stack = stack_id === DEFAULT_STACK ? '' : ` --stack ${shellQuote(stack_id)}`;
  return `keyhold connect ${service_id}${stack}${name === null ? '' : ` --name ${shellQuote(name)}`}`;
}
