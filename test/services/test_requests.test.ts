/** The test request of every built-in definition, and of every mode, can be built and sent to a host of the service. */
import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { Secret } from '../../src/contract/secret.ts';
import type { Service } from '../../src/contract/service/service.ts';
import { PLACEHOLDER_PATTERN } from '../../src/contract/service/texts.ts';
import { authenticationOf } from '../../src/services/authentication.ts';
import { ServiceCatalogue } from '../../src/services/catalogue.ts';
import {
  allowedByDefinition,
  destinationFields,
  isCovered,
  resolveDestination,
} from '../../src/services/destination.ts';
import { authenticate } from '../../src/use/call/request/authentication.ts';
import { prepareCall } from '../../src/use/call/request/prepare.ts';

const services = ServiceCatalogue.load().list();
const CASES = services.flatMap((service) =>
  [undefined, ...(service.modes ?? []).map(({ id }) => id)].map((mode) => ({
    title: mode === undefined ? service.slug : `${service.slug}, ${mode}`,
    service,
    mode,
  })),
);
const WITH_TEST = CASES.filter(({ service, mode }) => authenticationOf(service, mode).test !== undefined);
const nothingAllowed = () => false;

/** A value for each field: its default, first choice or example, else a text without meaning. */
function sampleValues({ fields }: Service): Map<string, string> {
  return new Map(
    fields.map(({ field_id, default: fixed, choices, example, kind }) => [
      field_id,
      fixed ?? choices?.[0]?.value ?? example ?? (kind === 'totp' ? 'JBSWY3DPEHPK3PXP' : 'sample-value-1'),
    ]),
  );
}

const PEM = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
}).privateKey;

/** The field that has the key of the signer of tokens, which needs a real one. */
function signingKeyField(service: Service, mode: string | undefined): string | undefined {
  const { injection } = authenticationOf(service, mode);
  if (injection.in !== 'signer' || injection.signer !== 'jwt') return undefined;
  const is_plain = injection.parameters.key_format === undefined;
  return is_plain ? /^\{([^{}]+)\}$/.exec(injection.parameters.key ?? '')?.[1] : undefined;
}

/** Replaces the fields that the service has; other braces are text. */
function fill(template: string, values: ReadonlyMap<string, string>): string {
  return template.replace(PLACEHOLDER_PATTERN, (whole, id: string) => values.get(id) ?? whole);
}

function credentialOf(service: Service, mode: string | undefined) {
  const values = sampleValues(service);
  const key_field = signingKeyField(service, mode);
  if (key_field !== undefined) values.set(key_field, PEM);
  const used = new Map([...values].filter(([id]) => destinationFields(service).has(id)));
  const bound = resolveDestination(service, used, nothingAllowed, mode);
  if (bound === undefined) throw new Error('a field of the host has no value');
  const destination = { ...bound, origins: allowedByDefinition(bound, service, nothingAllowed) };
  const { slug } = service;
  return {
    values,
    credential: {
      service,
      user: 'me',
      credential_id: slug,
      stack: 'default',
      name: null,
      revision: 1,
      stable_revision: 1,
      is_rejected: false,
      policy: {},
      fields: [...values.keys()],
      destination,
    },
  };
}

const isUsedOverHttp = ({ injection, modes }: Service) => injection.in !== 'none' || modes !== undefined;

describe('a definition', () => {
  test.each(CASES)(
    '$title resolves to https origins with the examples of its fields',
    ({ service, mode }) => {
      const { origins } = credentialOf(service, mode).credential.destination;
      for (const origin of origins) expect(origin).toMatch(/^https:\/\//);
      if (isUsedOverHttp(service)) expect(origins.length).toBeGreaterThan(0);
    },
  );

  test.each(WITH_TEST)('$title has a test request that can be built', async ({ service, mode }) => {
    const { test: request, hosts } = authenticationOf(service, mode);
    if (request === undefined || hosts.length === 0) throw new Error('no test request or no host');
    const { credential, values } = credentialOf(service, mode);
    const prepared = prepareCall(credential, {
      service_id: service.slug,
      method: request.method,
      path: fill(request.path, values),
      headers: Object.fromEntries(
        Object.entries(request.headers ?? {}).map(([name, text]) => [name, fill(text, values)]),
      ),
      ...(request.body === undefined ? {} : { body: fill(request.body, values) }),
    });
    expect(isCovered(prepared.use.origin, credential.destination.origins)).toBe(true);
    const secrets = new Map([...values].map(([id, text]) => [id, new Secret(text)]));
    const { sent } = await authenticate(prepared.placement, secrets, prepared.request);
    expect(sent.path).toMatch(/^\//);
    const names = [...sent.path.matchAll(PLACEHOLDER_PATTERN)].map(([, id = '']) => id);
    expect(names.filter((id) => values.has(id))).toEqual([]);
  });
});
