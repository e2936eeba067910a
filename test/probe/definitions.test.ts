/** The test of every built-in definition, and of every mode, with a wrong key against a local server in place of its hosts. */

import { generateKeyPairSync } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { beforeEach, describe, expect, test } from 'vitest';
import { Secret } from '../../src/contract/secret.ts';
import type { Service } from '../../src/contract/service/service.ts';
import { PatternSet } from '../../src/egress/redaction/pattern_set.ts';
import { httpUse, testRequest } from '../../src/probe/http/http.ts';
import { httpTestOf } from '../../src/probe/http/request.ts';
import { resultOf } from '../../src/probe/reasons.ts';
import { ServiceCatalogue } from '../../src/services/catalogue.ts';
import {
  allowedByDefinition,
  destinationFields,
  isCovered,
  resolveDestination,
} from '../../src/services/destination.ts';
import { withDefaults } from '../../src/use/call/request/templates.ts';
import { openUpstreamEgress, startUpstream, type Upstream } from '../kit/upstream/upstream.ts';

const CANARY = 'wrongkey7f3a91c2';
const PEM = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
}).privateKey;
/** Without a test: any API, and services that are tested with their own protocol. */
const WITHOUT_TEST = [
  'api_credential',
  'internal_postgresql',
  'mongodb',
  'mysql',
  'postgresql',
  'redis',
  'sftp',
  'smtp',
];
const BODIES = {
  empty: ['', 'text/plain'],
  html: ['<html><body>Sign in</body></html>', 'text/html'],
  json: ['{}', 'application/json'],
} as const;
type BodyName = keyof typeof BODIES;

const services = ServiceCatalogue.load().list();
const CASES = services.flatMap((service) =>
  [undefined, ...(service.modes ?? []).map(({ id }) => id)].flatMap((mode) => {
    const found = caseOf(service, mode);
    return found === undefined ? [] : [found];
  }),
);

function caseOf(definition: Service, mode: string | undefined) {
  // The local server has the standard port of each name.
  const withoutPort = (url: string) => url.replace(/:\d+$/, '');
  const hosts = definition.hosts.map(withoutPort);
  const service = { ...definition, hosts, base_url: definition.base_url && withoutPort(definition.base_url) };
  const values = new Map(
    service.fields.map(({ field_id, default: fixed, choices, example, kind, secret }) => {
      if (secret) return [field_id, kind === 'totp' ? 'JBSWY3DPEHPK3PXP' : CANARY];
      return [field_id, (fixed ?? choices?.[0]?.value ?? example ?? 'sample-value-1').replace(/:\d+$/, '')];
    }),
  );
  const { injection } = { ...service, ...service.modes?.find(({ id }) => id === mode) };
  const key = injection.in === 'signer' && injection.signer === 'jwt' ? injection.parameters.key : undefined;
  const [, key_field] = /^\{([^{}]+)\}$/.exec(key ?? '') ?? [];
  if (key_field !== undefined && injection.in === 'signer' && injection.parameters.key_format === undefined)
    values.set(key_field, PEM);
  if (service.slug === 'ghost') values.set('ghost_admin_api_key', `${'a'.repeat(24)}:${'b'.repeat(64)}`);
  const used = new Map([...values].filter(([id]) => destinationFields(service).has(id)));
  const bound = resolveDestination(service, used, () => false, mode);
  if (bound === undefined) throw new Error('a field of the host has no value');
  const destination = { ...bound, origins: allowedByDefinition(bound, service, () => false) };
  const { slug } = service;
  const credential = {
    ...{
      service,
      user: 'me',
      credential_id: slug,
      stack: 'default',
      name: null,
      revision: 1,
      stable_revision: 1,
    },
    ...{ is_rejected: false, policy: {}, fields: [...values.keys()], destination },
  };
  const http_test = httpTestOf(credential);
  if (http_test === undefined) return undefined;
  const title = mode === undefined ? slug : `${slug}, ${mode}`;
  return { title, credential, http_test, values };
}

/** Of the requests. */
const HOSTS = [...new Set(CASES.map(({ http_test }) => new URL(httpUse(http_test).origin).hostname))];

describe('a wrong key', () => {
  let upstream: Upstream;
  let respond: (response: ServerResponse) => void;
  beforeEach(async () => {
    upstream = await startUpstream(HOSTS, (_, response) => respond(response));
  });

  test.each([401, 403, 404, 429, 500, 200, 302])(
    'is never found valid or invalid for another reason than the rules of a definition, with status %i',
    async (status) => {
      const egress = openUpstreamEgress();
      for (const name of Object.keys(BODIES) as BodyName[]) {
        const [body, type] = BODIES[name];
        respond = (response) => response.writeHead(status, { 'content-type': type }).end(body);
        for (const { title, credential, http_test, values } of CASES) {
          const secrets = new Map([...values].map(([id, text]) => [id, new Secret(text)]));
          const options = { egress, principal: title, timeout_ms: 10_000 };
          const { finding } = await testRequest(http_test, {
            values: withDefaults(credential.service, secrets),
            patterns: new PatternSet([new Secret(CANARY)]),
            ...options,
          }).catch((error) => {
            throw new Error(`${title}: ${error.message}`);
          });
          const label = `${title}, ${status} with ${name}: ${finding.reason}`;
          const result = resultOf(finding.reason);
          const { accept, reject } = http_test.test;
          const plain = (rules: typeof accept) =>
            rules.some((rule) => rule.json === undefined && rule.status.includes(status));
          if (status === 429 || status === 500) expect(result, label).toBe('unknown');
          if (status === 200 && name !== 'json') expect([label, result]).not.toContain('valid');
          if (result === 'valid') expect(plain(accept), label).toBe(true);
          if (result === 'invalid') expect(plain(reject), label).toBe(true);
          expect(JSON.stringify(finding), label).not.toContain(CANARY);
          const sent = upstream.requests.at(-1);
          expect(isCovered(`https://${sent?.server_name}`, credential.destination.origins), label).toBe(true);
          expect(sent?.headers.host, label).toBe(sent?.server_name);
        }
      }
      expect(upstream.requests).toHaveLength(CASES.length * Object.keys(BODIES).length);
    },
    60_000,
  );
});

test('every definition has a test, except those of other protocols and the one for any API', () => {
  const tested = new Set(CASES.map(({ credential }) => credential.service.slug));
  expect(
    services
      .map(({ slug }) => slug)
      .filter((slug) => !tested.has(slug))
      .sort(),
  ).toEqual(WITHOUT_TEST);
});
