/** Rules for where a custom definition may send secrets: each test breaks one property of a valid definition. */
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../../src/contract/errors.ts';
import { checkConnections } from '../../../src/services/custom/connection_rules.ts';
import { toService } from '../../../src/services/definition_file.ts';
import type { IsHostAllowed } from '../../../src/services/hosts/host_value.ts';
import { INTRANET } from '../../kit/vault/custom_service.ts';

const URL = 'https://intranet.example.com';
const OAUTH = {
  authorization_url: `${URL}/authorize`,
  token_url: `${URL}/token`,
  scopes: ['read'],
  pkce: true,
};
const TEST = { method: 'GET', path: '/me', accept: [{ status: [200] }], reject: [{ status: [401] }] };
const HEADERS = { in: 'header', headers: { Authorization: 'Bearer {token}' } };
const HOST_FIELD = { ...INTRANET.fields[0], field_id: 'site', name: 'Site', secret: false };

function refusal(change: object, isHostAllowed: IsHostAllowed = () => false): string {
  try {
    checkConnections(toService({ ...INTRANET, ...change }, 'a.json'), 'a.json', isHostAllowed);
  } catch (error) {
    if (error instanceof VaultError && error.reason === 'service_definition_invalid') return error.message;
    throw error;
  }
  return 'accepted';
}

describe('a host of a custom definition', () => {
  test.each([
    ['an IPv4 address', '169.254.169.254', 'IP address'],
    ['an IPv4 address with a port', '127.0.0.1:8443', 'IP address'],
    ['an IPv4 address in one number', '2130706433', 'IP address'],
    ['an IPv4 address in hexadecimal', '0x7f.1', 'IP address'],
    ['an IPv4 address in octal', '0177.0.0.1', 'IP address'],
    ['localhost', 'localhost', 'this machine or a local network'],
    ['a name below localhost', 'api.localhost:8443', 'this machine or a local network'],
    ['a name of multicast DNS', 'printer.local', 'this machine or a local network'],
    ['a private name', 'vault.corp.internal', 'this machine or a local network'],
    ['a name of a home network', 'nas.home.arpa', 'this machine or a local network'],
    ['a single label', 'intranet', 'a host without a domain'],
    ['a public suffix', 'co.uk', 'a public suffix'],
    ['a wildcard over a suffix', '*.com', 'a host without a domain'],
    ['a wildcard over the names of all users of a company', '*.github.io', 'a wildcard above'],
  ])('is refused if it is %s', (_what, host, expected) => {
    expect(refusal({ hosts: [host] })).toMatch(/^a\.json: hosts\[0\]: has /);
    expect(refusal({ hosts: [host] })).toContain(expected);
    expect(refusal({ token_hosts: [host] })).toMatch(/^a\.json: token_hosts\[0\]: has /);
    const rule = { host, injection: HEADERS };
    expect(refusal({ host_rules: [rule] })).toMatch(/^a\.json: host_rules\[0\]\.host: has /);
  });

  test.each(['169.254.169.254', 'localhost', 'intranet', 'vault.corp.internal'])(
    '%s is accepted if the operator lists it',
    (host) => {
      expect(refusal({ hosts: [host] }, (name, port) => name === host && port === 443)).toBe('accepted');
      expect(refusal({ hosts: [host] }, (name, port) => name === host && port === 8443)).not.toBe('accepted');
    },
  );

  test.each([
    ['a name', { hosts: ['intranet.example.com'] }],
    ['a name with a port', { hosts: ['intranet.example.com:8443'] }],
    ['a wildcard below a registered domain', { hosts: ['*.example.com'] }],
    ['a field', { hosts: ['{site}'], fields: [...INTRANET.fields, HOST_FIELD] }],
    ['a field in a name', { hosts: ['{site}.example.com'], fields: [...INTRANET.fields, HOST_FIELD] }],
    ['a local name of a database', { hosts: ['localhost'], injection: { in: 'none' } }],
  ])('is accepted if it is %s', (_what, change) => {
    expect(refusal(change)).toBe('accepted');
  });
});

describe('a URL of a custom definition', () => {
  const secret_host = '{token}.example.com';
  test.each([
    ['token_hosts[0]', { token_hosts: [secret_host] }],
    ['host_rules[0].host', { host_rules: [{ host: secret_host, injection: HEADERS }] }],
    ['test.path', { test: { ...TEST, path: `https://${secret_host}/me` } }],
    ['oauth.refresh_url', { oauth: { ...OAUTH, refresh_url: `https://${secret_host}/token` } }],
    [
      'oauth.device_authorization_url',
      { oauth: { ...OAUTH, device_authorization_url: `https://${secret_host}/device` } },
    ],
  ])('is refused with a secret field in the host of %s', (path, change) => {
    expect(refusal(change)).toBe(
      `a.json: ${path}: has a secret field: its value would be part of a host name`,
    );
  });

  test.each([
    ['base_url', { base_url: 'http://localhost:8080', hosts: ['localhost:8080'] }],
    [
      'modes[0].base_url',
      {
        modes: [
          {
            id: 'a',
            name: 'A',
            when: { fields: ['token'] },
            injection: HEADERS,
            base_url: 'http://intranet.example.com',
          },
        ],
      },
    ],
  ])('is refused with http in %s, unless the operator lists the host', (path, change) => {
    expect(refusal(change)).toContain(`a.json: ${path}: must be an https URL`);
    expect(refusal(change, () => true)).toBe('accepted');
  });

  test.each(['token_url', 'refresh_url', 'revocation_url', 'device_authorization_url'])(
    'is refused if oauth.%s is on no host and no token host of the definition',
    (name) => {
      const oauth = { ...OAUTH, [name]: 'https://login.example.org/token' };
      expect(refusal({ oauth })).toBe(
        `a.json: oauth.${name}: names a host that is not among hosts or token_hosts`,
      );
      expect(refusal({ oauth, token_hosts: ['example.org'] })).not.toBe('accepted');
      expect(refusal({ oauth, token_hosts: ['login.example.org'] })).toBe('accepted');
      expect(refusal({ oauth, token_hosts: ['*.example.org'] })).toBe('accepted');
    },
  );

  test('is refused if a login page is an address', () => {
    const oauth = { ...OAUTH, authorization_url: 'https://10.0.0.1/authorize' };
    expect(refusal({ oauth })).toContain('a.json: oauth.authorization_url: has an IP address');
    const hidden = { ...OAUTH, authorization_url: 'https://intranet.example.com@10.0.0.1/' };
    expect(refusal({ oauth: hidden })).toContain('a.json: oauth.authorization_url: has an IP address');
  });
});

describe('a header of a custom definition', () => {
  test.each([
    ...[
      'Host',
      'connection',
      'Keep-Alive',
      'Content-Length',
      'Transfer-Encoding',
      'TE',
      'Trailer',
      'Upgrade',
    ],
    ...['Cookie', 'Proxy-Authorization', 'proxy-connection', 'Expect'],
  ])('%s is refused wherever the definition sets headers', (name) => {
    const headers = { [name]: '{token}' };
    const mode = { id: 'a', name: 'A', when: { fields: ['token'] }, injection: { in: 'header', headers } };
    for (const [path, change] of [
      ['injection.headers', { injection: { in: 'header', headers } }],
      ['injection.headers', { injection: { in: 'query', query: { key: '{token}' }, headers } }],
      ['default_headers', { default_headers: headers }],
      ['test.headers', { test: { ...TEST, headers } }],
      ['modes[0].injection.headers', { modes: [mode] }],
      [
        'host_rules[0].injection.headers',
        { host_rules: [{ host: 'intranet.example.com', injection: mode.injection }] },
      ],
      ['idempotency_header', { idempotency_header: name }],
    ] as const) {
      expect(refusal(change)).toBe(
        `a.json: ${path}: sets a header that belongs to the connection or to the browser; use another header`,
      );
    }
  });
});

describe('the test request of a custom definition', () => {
  test('is refused with POST', () => {
    expect(refusal({ test: { ...TEST, method: 'POST', body: '{}' } })).toBe(
      'a.json: test.method: must be GET or HEAD: a test changes nothing',
    );
    const mode = { id: 'a', name: 'A', when: { fields: ['token'] }, injection: HEADERS };
    expect(refusal({ modes: [{ ...mode, test: { ...TEST, method: 'POST' } }] })).toContain(
      'a.json: modes[0].test.method: must be GET or HEAD',
    );
  });

  test.each(['GET', 'HEAD'])('is accepted with %s', (method) => {
    expect(refusal({ test: { ...TEST, method } })).toBe('accepted');
  });
});
