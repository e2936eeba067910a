/** The settings of outgoing connections: what an operator allows, trusts, and sends requests through. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../src/contract/errors.ts';
import { parseEgressSettings, parseForwardProxy } from '../../src/settings/egress.ts';
import { ISSUER_CERT, ISSUER_CERT_KEY, TEST_CERT } from '../kit/http/certificate.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

function refusal(parse: () => unknown): string {
  try {
    parse();
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    expect([error.code, error.reason]).toStrictEqual(['INVALID_INPUT', 'setting_invalid']);
    return error.message;
  }
  throw new Error('the settings were accepted');
}

describe('KEYHOLD_EGRESS_ALLOW', () => {
  test.each([
    '10.0.0.0/33',
    'https://host.example',
    'user@host.example',
    'a b',
    '*',
    '*.*.example',
    'host.example:0',
    'host.example:70000',
    'host.example/path',
    Array(101).fill('10.0.0.1').join(','),
  ])('rejects %s and does not repeat it', (KEYHOLD_EGRESS_ALLOW) => {
    const message = refusal(() => parseEgressSettings({ KEYHOLD_EGRESS_ALLOW }, '/'));
    expect(message).toContain('KEYHOLD_EGRESS_ALLOW must be networks');
    expect(message).not.toContain(`${KEYHOLD_EGRESS_ALLOW} `);
  });

  test('allows networks, addresses, hosts, ports and domains', () => {
    const { allow } = parseEgressSettings(
      { KEYHOLD_EGRESS_ALLOW: '10.0.0.0/8, ::1, Db.corp.example:5432,*.lan' },
      '/',
    );
    expect(allow.allows('a.example', 443, '10.1.2.3')).toBe(true);
    expect(allow.allows('a.example', 443, '::1')).toBe(true);
    expect(allow.allows('db.corp.example', 5432, '192.168.0.1')).toBe(true);
    expect(allow.allows('db.corp.example', 443, '192.168.0.1')).toBe(false);
    expect(allow.allows('a.b.lan', 443, '192.168.0.1')).toBe(true);
    expect(allow.allows('lan', 443, '192.168.0.1')).toBe(false);
  });

  test('allows nothing unless it is set', () => {
    expect(parseEgressSettings({}, '/').allow.allows('a.example', 443, '10.0.0.1')).toBe(false);
    expect(parseEgressSettings({ KEYHOLD_EGRESS_ALLOW: '' }, '/').allow.allows('', 443, '10.0.0.1')).toBe(
      false,
    );
  });
});

describe('KEYHOLD_EGRESS_CA', () => {
  function parseFile(content: string | Buffer) {
    const home = temporaryFolder();
    writeFileSync(join(home, 'ca.pem'), content);
    return parseEgressSettings({ KEYHOLD_EGRESS_CA: 'ca.pem' }, home);
  }

  test.each([
    ['has no certificate', ''],
    ['has no certificate', ISSUER_CERT_KEY],
    ['has no certificate', '-----BEGIN CERTIFICATE-----\nMIIB'],
    ['has a damaged certificate', ISSUER_CERT.replace(/MII/, 'AAA')],
    ['has a damaged certificate', `${ISSUER_CERT}\n${TEST_CERT.replace(/MII/, '???')}`],
    ['is larger than', Buffer.alloc(1024 * 1024 + 1, ISSUER_CERT)],
  ])('rejects a file that %s', (problem, content) => {
    expect(refusal(() => parseFile(content))).toMatch(
      new RegExp(`the setting KEYHOLD_EGRESS_CA names ${problem}`),
    );
  });

  test('rejects a missing file, a folder and an empty path', () => {
    const home = temporaryFolder();
    const parse = (KEYHOLD_EGRESS_CA: string) => () => parseEgressSettings({ KEYHOLD_EGRESS_CA }, home);
    expect(refusal(parse('missing.pem'))).toContain('KEYHOLD_EGRESS_CA names cannot be read');
    expect(refusal(parse(home))).toContain('KEYHOLD_EGRESS_CA names cannot be read');
    expect(refusal(parse(' '))).toContain('KEYHOLD_EGRESS_CA must be');
  });

  test('takes every certificate of the file and ignores the text around them', () => {
    const { ca } = parseFile(`# our authorities\r\n${ISSUER_CERT}\nothers\n${TEST_CERT}`);
    expect(ca).toHaveLength(2);
    expect(parseEgressSettings({}, '/').ca).toBeUndefined();
  });
});

describe('HTTPS_PROXY', () => {
  test.each([
    'ftp://proxy.example',
    'http://',
    'socks5://proxy.example',
    'http://ada:50%off@proxy.example',
    'http://%E2:%82%AC@proxy.example',
  ])('rejects %s', (HTTPS_PROXY) => {
    expect(refusal(() => parseForwardProxy({ HTTPS_PROXY }))).toContain('HTTPS_PROXY must');
  });

  test('is read with NO_PROXY, lower case first, and an empty one is none', () => {
    const env = { HTTPS_PROXY: 'proxy.example:3128', NO_PROXY: '.corp.example, 10.0.0.1' };
    expect(parseForwardProxy(env)).toEqual({
      url: 'http://proxy.example:3128',
      bypass: ['.corp.example', '10.0.0.1'],
    });
    expect(parseForwardProxy({ ...env, https_proxy: 'http://other' })).toMatchObject({ url: 'http://other' });
    expect(parseForwardProxy({ HTTPS_PROXY: '' })).toBeUndefined();
    expect(parseForwardProxy({})).toBeUndefined();
  });
});
