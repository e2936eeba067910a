/**
 * The authorization server of a credential's service: its endpoints with the fields of the credential, and its client. Only
 * endpoints whose origin the credential is bound to are used: a definition that gains a host leads no token there.
 */
import type * as OpenidClient from 'openid-client';
import { VaultError } from '../contract/errors.ts';
import type { Secret } from '../contract/secret.ts';
import type { OAuthEndpoints } from '../contract/service/authentication.ts';
import type { Service } from '../contract/service/service.ts';
import { isCovered } from '../services/destination.ts';
import { expand, type FieldValues, withDefaults } from '../use/call/request/templates.ts';

export type ProviderEndpoint = 'token_url' | 'refresh_url' | 'device_authorization_url' | 'revocation_url';

/** Throws INVALID_INPUT for a service without OAuth. */
export function oauthOf(service: Service): OAuthEndpoints {
  const { oauth, name } = service;
  if (oauth?.access_token_field !== undefined) return oauth;
  throw new VaultError('INVALID_INPUT', `${name} is not connected with OAuth. Store its values instead.`);
}

/**
 * The URL of an endpoint; `undefined` if the definition has none. `fields`: the values of destination fields. Throws INVALID_INPUT
 * without a field that is in the URL, and FORBIDDEN, reason `needs_review`, unless the credential is bound to the origin.
 */
export function endpointUrl(
  service: Service,
  endpoint: ProviderEndpoint,
  fields: FieldValues,
  origins: readonly string[],
): URL | undefined {
  const template = oauthOf(service)[endpoint];
  if (template === undefined) return undefined;
  const url = expandUrl(service, template, fields);
  if (url.protocol === 'https:' && isCovered(url.origin, origins)) return url;
  const command = `keyhold store ${service.slug}`;
  throw new VaultError(
    'FORBIDDEN',
    `The credential was stored before ${url.hostname} was a host of ${service.name}. Store it again with \`${command}\`.`,
    { reason: 'needs_review', next: `Ask the user to run \`${command}\`.` },
  );
}

/**
 * Where the browser of a person is sent to. The credential need not be bound to it: no secret is sent there. Throws INVALID_INPUT
 * without a field that is in the URL.
 */
export function authorizationEndpoint(service: Service, fields: FieldValues): URL {
  const url = expandUrl(service, oauthOf(service).authorization_url ?? '', fields);
  if (url.protocol === 'https:' && url.username === '' && url.password === '') return url;
  throw new VaultError('INVALID_INPUT', `The authorization endpoint of ${service.name} is not an https URL.`);
}

/**
 * Whether a callback is of the authorization server of the service (RFC 9207). A definition without an issuer accepts those
 * on the origins of its endpoints: another server cannot name them.
 */
export function isIssuer(service: Service, endpoints: readonly URL[], iss: string): boolean {
  const { issuer } = oauthOf(service);
  if (issuer !== undefined) return iss === issuer;
  return URL.canParse(iss) && endpoints.some(({ origin }) => origin === new URL(iss).origin);
}

function expandUrl(service: Service, template: string, fields: FieldValues): URL {
  const text = expand(template, withDefaults(service, fields));
  if (text !== undefined && URL.canParse(text)) return new URL(text);
  const message = `The OAuth endpoints of ${service.name} need a field that is missing.`;
  throw new VaultError('INVALID_INPUT', message);
}

/** The client that the user registered at the provider. */
export interface ProviderClient {
  readonly id: string | undefined;
  readonly secret: Secret | undefined;
  readonly auth: 'basic' | 'body' | 'none';
}

export function clientOf(service: Service, values: FieldValues): ProviderClient {
  const { client_id_field = '', client_secret_field = '', client_auth = 'body' } = oauthOf(service);
  return {
    id: values.get(client_id_field)?.reveal(),
    secret: values.get(client_secret_field),
    auth: client_auth,
  };
}

/**
 * RFC 6749, section 2.3.1. A client without a secret sends its id only. The id and the secret are encoded so that providers
 * that do not decode them accept them too.
 */
export function authenticateClient({ id, secret, auth }: ProviderClient): OpenidClient.ClientAuth {
  return (_server, _client, body, headers) => {
    if (auth === 'basic' && id !== undefined && secret !== undefined) {
      const pair = `${encodeURIComponent(id)}:${encodeURIComponent(secret.reveal())}`;
      headers.set('authorization', `Basic ${Buffer.from(pair).toString('base64')}`);
      return;
    }
    if (id !== undefined) body.set('client_id', id);
    if (auth !== 'none' && secret !== undefined) body.set('client_secret', secret.reveal());
  };
}
