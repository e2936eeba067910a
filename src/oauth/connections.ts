/**
 * Connects credentials with a person: starts an authorization code grant with PKCE (RFC 6749, section 4.1; RFC 7636) and
 * exchanges the code of its callback. A callback is accepted once, from the user who started the connection, and of the provider
 * that it was started for (RFC 9207). Never logs or returns a code or a token.
 */
import type { Caller } from '../contract/caller.ts';
import {
  type ConnectDescription,
  type Connected,
  ConnectInput,
  type Connections,
  type DeviceState,
  type StartedConnection,
  type StartedDevice,
} from '../contract/connection.ts';
import { VaultError } from '../contract/errors.ts';
import type { Service } from '../contract/service/service.ts';
import { parseInput } from '../contract/validation.ts';
import { assertConnectable, connectFields, connectGrants } from '../services/oauth/connect.ts';
import { type FieldValues, knownValues } from '../use/call/request/templates.ts';
import { type ConnectionTarget, unknownConnection } from '../vault/oauth/connection_records.ts';
import type { PendingConnection } from '../vault/oauth/connection_requests.ts';
import { DeviceConnections } from './device_connections.ts';
import { authorizationEndpoint, clientOf, endpointUrl, isIssuer, oauthOf } from './provider.ts';
import { type ConnectionParts, requestOfConnection, saveConnection } from './provider_request.ts';
import { exchangeCode, scopeText } from './token_request.ts';
import { authorizationErrorCode } from './token_request_error.ts';

const AUTHORITY = /^https:\/\/([^/?#]*)/;

export class ServiceConnections implements Connections {
  readonly #parts: ConnectionParts;
  readonly #devices: DeviceConnections;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    this.#devices = new DeviceConnections(parts);
  }

  async describe(caller: Caller, raw: ConnectInput): Promise<ConnectDescription> {
    const { service_id, stack_id, name, scopes } = parseInput(ConnectInput, raw);
    const { vault } = this.#parts;
    const service = vault.services.get(service_id);
    const status = await vault.status(caller, { service_id, stack_id, name });
    const grants = connectGrants(service);
    const [grant = 'authorization_code'] = grants;
    if (grants.length === 0) assertConnectable(service, grant, []);
    const presences = { ...status.required_credentials, ...status.optional_credentials };
    const stored = Object.keys(presences).filter((id) => presences[id] === 'added');
    const { authorization_url = '', scopes: all } = oauthOf(service);
    const authority = grants.includes('authorization_code')
      ? AUTHORITY.exec(authorization_url)?.[1]
      : undefined;
    return {
      service_id: service.slug,
      service_name: service.name,
      grants: [...grants],
      fields: [...connectFields(service, grant, stored)],
      scopes: [...(scopes ?? all)],
      authorization_origin:
        authority === undefined || authority.includes('{') ? null : `https://${authority}`,
      status: status.status,
    };
  }

  async start(
    caller: Caller,
    input: ConnectInput,
    redirect_uri: string,
    handle?: string,
  ): Promise<StartedConnection> {
    const { connections } = this.#parts.vault;
    const connection = await connections.find(caller, input, 'authorization_code', handle);
    const { service } = connection;
    // Before the person goes to the provider: without them, no token could be requested afterwards.
    const { fields } = endpointsOf(connection);
    const authorization_url = authorizationEndpoint(service, fields);
    const oauth = oauthOf(service);
    const openid = await import('openid-client');
    const state = openid.randomState();
    const code_verifier = oauth.pkce ? openid.randomPKCECodeVerifier() : null;
    const scopes = input.scopes ?? oauth.scopes;
    const callback = new URL(redirect_uri).href;
    const request = { state, code_verifier, redirect_uri: callback, scopes };
    const { values, expires_at } = await connections.create(caller, connection, request);
    const produced = await this.#parts.values.produceAll(service, values);
    const scope = scopeText(service, scopes);
    const parameters = {
      ...oauth.authorization_parameters,
      response_type: 'code',
      client_id: clientOf(service, produced.values).id ?? '',
      redirect_uri: callback,
      ...(scope === '' ? {} : { scope }),
      state,
      ...(code_verifier === null
        ? {}
        : {
            code_challenge: await openid.calculatePKCECodeChallenge(code_verifier),
            code_challenge_method: 'S256',
          }),
    };
    for (const [name, text] of Object.entries(parameters)) authorization_url.searchParams.set(name, text);
    return { authorization_url: authorization_url.href, expires_at };
  }

  async finish(caller: Caller, parameters: URLSearchParams): Promise<Connected> {
    const { connections } = this.#parts.vault;
    const state = single(parameters, 'state');
    if (state === undefined) throw unknownConnection();
    const connection = await connections.byState(caller, state);
    const { service, request } = connection;
    const { token_url, fields } = endpointsOf(connection);
    const { redirect_uri, code_verifier, scopes } = request.meta;
    const endpoints = [token_url, authorizationEndpoint(service, fields)];
    const iss = single(parameters, 'iss');
    if (parameters.has('iss') && (iss === undefined || !isIssuer(service, endpoints, iss))) {
      await connections.end(caller, connection, 'used', 'the callback is of another issuer');
      throw otherIssuer(service);
    }
    if (parameters.has('error')) throw await this.#endWithError(caller, connection, parameters);
    if (single(parameters, 'code') === undefined) {
      await connections.end(caller, connection, 'used', 'the callback has no code');
      throw noCode(service);
    }
    const callback = new URL(redirect_uri);
    callback.search = parameters.toString();
    const exchanged = { callback, state, code_verifier, issuer: iss ?? token_url.origin };
    const tokens = await requestOfConnection(this.#parts, caller, connection, token_url, (sent) =>
      exchangeCode(sent, exchanged),
    );
    return saveConnection(this.#parts, caller, connection, scopes, tokens);
  }

  startDevice(caller: Caller, input: ConnectInput, handle?: string): Promise<StartedDevice> {
    return this.#devices.start(caller, input, handle);
  }

  async deviceState(caller: Caller, device_id: string): Promise<DeviceState> {
    return this.#devices.state(caller, device_id);
  }

  /** RFC 6749, section 4.1.2.1. Returns the error to throw. */
  async #endWithError(
    caller: Caller,
    connection: PendingConnection,
    parameters: URLSearchParams,
  ): Promise<VaultError> {
    const code = authorizationErrorCode(single(parameters, 'error') ?? '');
    const is_declined = code === 'access_denied';
    const reason = `the provider returned ${code}`;
    await this.#parts.vault.connections.end(caller, connection, is_declined ? 'declined' : 'used', reason);
    return is_declined ? declined(connection.service) : providerRefused(connection.service, code);
  }
}

function endpointsOf({ service, destination }: ConnectionTarget): { token_url: URL; fields: FieldValues } {
  const fields = knownValues(service, destination.fields);
  const token_url = endpointUrl(service, 'token_url', fields, destination.origins);
  if (token_url === undefined) throw new Error('a service with OAuth has a token URL');
  return { token_url, fields };
}

/** `undefined` unless the parameter is there once: a repeated one is not valid (RFC 6749, section 3.1). */
function single(parameters: URLSearchParams, name: string): string | undefined {
  const [first, second] = parameters.getAll(name);
  return second === undefined && first !== '' ? first : undefined;
}

function next({ slug }: Service): { readonly next: string } {
  return { next: `Have the user connect again: \`keyhold connect ${slug}\`.` };
}

function declined(service: Service): VaultError {
  const message = `Access to ${service.name} was declined there. Nothing was stored. Connect again if that was a mistake.`;
  return new VaultError('FORBIDDEN', message, { reason: 'connection_declined', ...next(service) });
}

function providerRefused(service: Service, code: string): VaultError {
  const { name, oauth, slug } = service;
  const message = `${name} refused the request: ${code}. Nothing was stored. Check the client, its redirect URI and its scopes there, and the stored client id with \`keyhold update ${slug} ${oauth?.client_id_field}\`.`;
  return new VaultError('FORBIDDEN', message, next(service));
}

function otherIssuer(service: Service): VaultError {
  const message = `The callback is of another provider than ${service.name}: it may be an attack. Nothing was sent or stored. Connect again, and check the address of the page where you permit access.`;
  return new VaultError('FORBIDDEN', message, next(service));
}

function noCode(service: Service): VaultError {
  const message = `${service.name} returned no code. Nothing was stored. Connect again.`;
  return new VaultError('UPSTREAM', message, next(service));
}
