/** Where the values of a credential may go: roles of fields, hosts that are refused, and changed definitions. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../src/contract/errors.ts';
import type { Service } from '../../src/contract/service/service.ts';
import { ServiceCatalogue } from '../../src/services/catalogue.ts';
import { parseDefinition } from '../../src/services/definition.ts';
import {
  allowedByDefinition,
  definitionDigest,
  fieldRole,
  isCovered,
  resolveDestination,
} from '../../src/services/destination.ts';
import { check } from '../kit/property.ts';
import { INTRANET } from '../kit/vault/custom_service.ts';

const catalogue = ServiceCatalogue.load();
const NONE_ALLOWED = () => false;

function resolve(
  service: Service,
  values: Readonly<Record<string, string>>,
  allowed: (host: string, port: number) => boolean = NONE_ALLOWED,
) {
  return resolveDestination(service, new Map(Object.entries(values)), allowed);
}

function refusalOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof VaultError && error.code === 'INVALID_INPUT') return error.message;
    throw error;
  }
  throw new Error('nothing was refused');
}

/** A custom service with these hosts and a field for each placeholder. */
function serviceWith(hosts: readonly string[], more: object = {}): Service {
  const ids = [...new Set(hosts.flatMap((host) => [...host.matchAll(/\{(\w+)\}/g)].map(([, id]) => id)))];
  const fields = ids.map((field_id) => ({
    field_id,
    name: field_id,
    description: 'A part of the host.',
    required: true,
    secret: false,
    max_length: 300,
  }));
  return parseDefinition({ ...INTRANET, hosts, fields: [...INTRANET.fields, ...fields], ...more }, 'x.json');
}

describe('a host that is refused', () => {
  const grafana = catalogue.get('grafana');
  test.each([
    '127.0.0.1',
    '127.0.0.1:8787',
    '169.254.169.254',
    '10.0.0.1',
    '8.8.8.8',
    '0x7f.1',
    '0x7f000001',
    '2130706433',
    '017700000001',
    '127.1',
    '[::1]',
    '[::ffff:169.254.169.254]',
    '[fd00:ec2::254]',
    'localhost',
    'LOCALHOST',
    'localhost:8787',
    'a.localhost',
    'collector',
    'com',
    'co.uk',
    'github.io',
    'a@evil.com',
    'a:b@evil.com',
    'evil.com:5432/db',
    'evil.com/path',
    'evil.com?x',
    'evil.com#x',
    'evil.com\\x',
    'https://evil.com',
    '//evil.com',
    'evil.com:8443',
    'evil.com:0',
    'evil.com:99999',
    'evil.com.',
    '.evil.com',
    'evil..com',
    'evil.com\r\nX: y',
    'evil.com\u0000',
    ' evil.com',
    '*.evil.com',
    '{grafana_token}.evil.com',
    '%65vil.com',
    'ev\u0131l.com',
    `${'a'.repeat(64)}.com`,
    `${'a.'.repeat(130)}com`,
  ])('a whole-host field refuses %j', (host) => {
    const message = refusalOf(() => resolve(grafana, { grafana_host: host }));
    expect(message).toContain('grafana_host');
    if (host.length > 5) expect(message).not.toContain(host);
  });

  test.each(['a.b', 'a@b', 'a/b', 'a:1', '', '-a', 'a-', 'a_b', 'a\r\n', 'a'.repeat(64), 'evil.com#', '*'])(
    'a field inside a host refuses %j',
    (label) => {
      const jira = catalogue.get('zendesk');
      expect(refusalOf(() => resolve(jira, { zendesk_subdomain: label }))).toContain('zendesk_subdomain');
    },
  );

  test('a field inside a host has several labels only if they are one of its choices', () => {
    const salesforce = catalogue.get('salesforce');
    const host = { salesforce_domain: 'acme--dev', salesforce_environment: 'sandbox.my' };
    const origins = ['https://acme--dev.sandbox.my.salesforce.com'];
    expect(resolve(salesforce, host)?.origins).toEqual(origins);
    expect(resolve(salesforce, { salesforce_domain: 'acme' })?.origins).toEqual([
      'https://acme.my.salesforce.com',
    ]);
    for (const wrong of ['sandbox.your', 'SANDBOX.MY', 'evil.example/', 'my.', '.my', '']) {
      const resolveWrong = () => resolve(salesforce, { ...host, salesforce_environment: wrong });
      expect(refusalOf(resolveWrong)).toContain('salesforce_environment');
    }
  });

  test('the host of a database refuses everything except a name or an address', () => {
    const postgresql = catalogue.get('postgresql');
    for (const host of ['a@evil.com:5432/db?sslmode=disable#', 'evil.com/db', 'evil.com?host=x', 'a,b']) {
      expect(refusalOf(() => resolve(postgresql, { host }))).toContain('host');
    }
    for (const host of ['localhost', '10.0.0.5', 'db_1', 'db.example.com']) {
      expect(resolve(postgresql, { host })).toEqual({ origins: [], fields: { host } });
    }
  });

  test('a base URL that leads to another host than those of the service is refused', () => {
    const datadog = catalogue.get('datadog');
    expect(refusalOf(() => resolve(datadog, { datadog_site: 'evil.com' }))).toContain('datadog_site');
    expect(resolve(datadog, { datadog_site: 'datadoghq.eu' })?.origins).toContain('https://api.datadoghq.eu');
  });

  test('a wildcard over a host field is refused above the registrable domain', () => {
    const service = serviceWith(['*.{domain}']);
    for (const domain of ['com', 'github.io', 'localhost', '127.0.0.1']) {
      expect(refusalOf(() => resolve(service, { domain }))).toContain('domain');
    }
    expect(resolve(service, { domain: 'example.com' })?.origins).toEqual(['https://*.example.com']);
  });

  test('no text leads to an origin other than the host that it is, for any text', () => {
    const odd = fc.stringMatching(/^[a-z0-9.:@/\\?#%[\]{}* \r\n-]{1,40}$/);
    const texts = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6(), fc.webUrl(), fc.string(), odd);
    check(texts, (text) => {
      let origins: readonly string[] | undefined;
      try {
        origins = resolve(grafana, { grafana_host: text })?.origins;
      } catch (error) {
        expect(error).toBeInstanceOf(VaultError);
        return;
      }
      const [name] = text.toLowerCase().split(':');
      expect(origins).toEqual([`https://${name}`]);
      expect(new URL(`https://${name}`).hostname).toBe(name);
    });
  });
});

describe('a host that is allowed', () => {
  test('is compared as an origin: in lower case, without port 443', () => {
    const grafana = catalogue.get('grafana');
    expect(resolve(grafana, { grafana_host: 'Example.Grafana.NET:443' })).toEqual({
      origins: ['https://example.grafana.net'],
      fields: { grafana_host: 'Example.Grafana.NET:443' },
    });
  });

  test('may be an address, a local name or have another port if the operator lists it', () => {
    const grafana = catalogue.get('grafana');
    const allowed = (host: string, port: number) =>
      `${host}:${port}` === 'grafana.lan:3000' || host === '10.0.0.5' || host === '[fd00::5]';
    const at = (grafana_host: string) => resolve(grafana, { grafana_host }, allowed)?.origins;
    expect(at('grafana.lan:3000')).toEqual(['https://grafana.lan:3000']);
    expect(at('10.0.0.5')).toEqual(['https://10.0.0.5']);
    expect(at('[fd00::5]')).toEqual(['https://[fd00::5]']);
    expect(() => at('other.lan:3000')).toThrow(VaultError);
    expect(() => at('0x0a.5')).toThrow(VaultError);
  });

  test('has the port of the definition', () => {
    const qdrant = catalogue.get('qdrant');
    const origins = ['https://x.qdrant.io', 'https://x.qdrant.io:6333'];
    expect(resolve(qdrant, { qdrant_host: 'x.qdrant.io' })?.origins).toEqual(origins);
  });

  test('is unknown as long as a field in it is missing', () => {
    expect(resolve(catalogue.get('grafana'), {})).toBeUndefined();
    expect(resolve(catalogue.get('databricks'), {})).toBeUndefined();
  });

  test('is left out if the service has others', () => {
    const service = serviceWith(['api.example.com', '{tenant}.example.com']);
    expect(resolve(service, {})?.origins).toEqual(['https://api.example.com']);
    expect(resolve(service, { tenant: 'a' })?.origins).toEqual([
      'https://a.example.com',
      'https://api.example.com',
    ]);
  });

  test('every built-in service has a destination for its examples or defaults', () => {
    for (const service of catalogue.list()) {
      const examples = service.fields
        .filter(({ field_id }) => fieldRole(service, field_id) === 'destination')
        .map((field) => [field.field_id, field.example ?? field.default ?? ''] as const);
      expect(resolve(service, Object.fromEntries(examples)), service.slug).toBeDefined();
    }
  });
});

test('the role of a field follows from where its placeholder is', () => {
  const grafana = catalogue.get('grafana');
  expect(fieldRole(grafana, 'grafana_token')).toBe('secret');
  expect(fieldRole(grafana, 'grafana_host')).toBe('destination');
  expect(fieldRole(catalogue.get('postgresql'), 'database')).toBe('plain');
  expect(fieldRole(catalogue.get('datadog'), 'datadog_site')).toBe('destination');
  expect(fieldRole(catalogue.get('datadog'), 'no_such_field')).toBe('plain');
});

describe('a definition that changed', () => {
  const before = serviceWith(['api.example.com', '{tenant}.example.com']);
  const bound = resolve(before, { tenant: 'a' });
  if (bound === undefined) throw new Error('no destination');

  test('allows no host that it gained', () => {
    const after = serviceWith(['api.example.com', '{tenant}.example.com', 'evil.example.org']);
    expect(allowedByDefinition(bound, after, NONE_ALLOWED)).toEqual(bound.origins);
  });

  test('allows no host that it lost', () => {
    expect(allowedByDefinition(bound, serviceWith(['api.example.com']), NONE_ALLOWED)).toEqual([
      'https://api.example.com',
    ]);
    expect(allowedByDefinition(bound, serviceWith(['{tenant}.evil.org']), NONE_ALLOWED)).toEqual([]);
  });

  test('allows of a wildcard only what both have', () => {
    const wide = { origins: ['https://*.example.com'], fields: {} };
    expect(allowedByDefinition(wide, serviceWith(['api.example.com']), NONE_ALLOWED)).toEqual([
      'https://api.example.com',
    ]);
    const narrow = { origins: ['https://api.example.com'], fields: {} };
    expect(allowedByDefinition(narrow, serviceWith(['*.example.com']), NONE_ALLOWED)).toEqual(narrow.origins);
  });

  test('allows nothing for a value that would be refused now', () => {
    const service = serviceWith(['{host}']);
    const local = { origins: ['https://10.0.0.5'], fields: { host: '10.0.0.5' } };
    expect(allowedByDefinition(local, service, () => true)).toEqual(local.origins);
    expect(allowedByDefinition(local, service, NONE_ALLOWED)).toEqual([]);
  });

  test('has another digest, unless only its texts changed', () => {
    const digest = definitionDigest(before);
    expect(digest).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(definitionDigest({ ...before, name: 'Other', description: 'Other.' })).toBe(digest);
    const reordered = Object.fromEntries(Object.entries(before).reverse()) as unknown as Service;
    expect(definitionDigest(reordered)).toBe(digest);
    const headers = { Authorization: 'Token {token}' };
    expect(definitionDigest({ ...before, injection: { in: 'header', headers } })).not.toBe(digest);
    const named = (name: string) => ({ in: 'query', query: { name } }) as const;
    expect(definitionDigest({ ...before, injection: named('a') })).not.toBe(
      definitionDigest({ ...before, injection: named('b') }),
    );
    expect(definitionDigest({ ...before, hosts: [...before.hosts, 'b.example.com'] })).not.toBe(digest);
  });
});

test.each([
  ['https://a.example.com', true],
  ['https://a.b.example.com', true],
  ['https://example.com', false],
  ['https://evilexample.com', false],
  ['http://a.example.com', false],
  ['https://a.example.com:8443', false],
  ['https://a.example.com.evil.com', false],
])('the wildcard https://*.example.com covers %s: %s', (origin, covered) => {
  expect(isCovered(origin, ['https://*.example.com'])).toBe(covered);
});
