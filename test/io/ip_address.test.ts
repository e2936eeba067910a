/** Addresses: each spelling of one address gives the same result, and a text that is no address gives none. */
import { describe, expect, test } from 'vitest';
import { canonicalHost, networkOf, parseAddress, parseForwardedAddress } from '../../src/io/ip_address.ts';

describe('parseAddress', () => {
  test.each<[string, string, string | undefined]>([
    ['192.0.2.1', '192.0.2.1', undefined],
    ['2001:db8::1', '2001:db8::1', undefined],
    ['2001:0DB8:0:0:0:0:0:1', '2001:db8::1', undefined],
    ['[2001:db8::1]', '2001:db8::1', undefined],
    ['fe80::1%eth0', 'fe80::1', 'eth0'],
    ['[fe80::1%25eth0]', 'fe80::1', 'eth0'],
    ['fe80::1%1', 'fe80::1', '1'],
    ['::ffff:192.0.2.1', '192.0.2.1', undefined],
    ['[::FFFF:c000:0201]', '192.0.2.1', undefined],
    ['0:0:0:0:0:ffff:c000:201', '192.0.2.1', undefined],
    ['::', '::', undefined],
  ])('parseAddress parses %s', (text, address, zone) => {
    expect(parseAddress(text)).toMatchObject({ text: address, zone });
  });

  test.each([
    '',
    'localhost',
    '192.0.2',
    '192.0.2.256',
    '01.2.3.4',
    '192.0.2.1/24',
    '192.0.2.1:80',
    '[192.0.2.1',
    '2001:db8::1::2',
    '[2001:db8::1',
    '[2001:db8::1]:80',
    'fe80::1%',
    'fe80::1%a b',
    'fe80::1%a%b',
    'unknown',
    '_hidden',
  ])('parseAddress returns undefined for %j', (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });
});

describe('parseForwardedAddress', () => {
  test.each<[string, string]>([
    [' 192.0.2.1 ', '192.0.2.1'],
    ['192.0.2.1:4711', '192.0.2.1'],
    ['"192.0.2.1:4711"', '192.0.2.1'],
    ['192.0.2.1:_port', '192.0.2.1'],
    ['2001:db8::1', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['[2001:db8::1]:4711', '2001:db8::1'],
    ['"[2001:db8:cafe::17]:4711"', '2001:db8:cafe::17'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['[::ffff:192.0.2.1]:4711', '192.0.2.1'],
    ['[fe80::1%25eth0]:80', 'fe80::1'],
  ])('parseForwardedAddress parses %j', (text, address) => {
    expect(parseForwardedAddress(text)?.text).toBe(address);
  });

  test.each([
    '',
    'unknown',
    '_hidden',
    'unknown:80',
    '192.0.2.1:',
    '192.0.2.1:123456',
    ':80',
    'a.example:80',
    '"',
  ])('parseForwardedAddress returns undefined for %j', (text) => {
    expect(parseForwardedAddress(text)).toBeUndefined();
  });
});

describe('canonicalHost', () => {
  test.each<[string, string]>([
    ['LocalHost', 'localhost'],
    ['127.0.0.1', '127.0.0.1'],
    ['127.1', '127.0.0.1'],
    ['0x7f.1', '127.0.0.1'],
    ['2130706433', '127.0.0.1'],
    ['127.0.0.1.', '127.0.0.1'],
    ['[::1]', '::1'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['[::ffff:127.0.0.1]', '127.0.0.1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['127.0.0.1.example.com', '127.0.0.1.example.com'],
    ['1/b', '1/b'],
    ['x@127.1', 'x@127.1'],
    ['127.0.0.256', '127.0.0.256'],
    ['1.example', '1.example'],
    ['', ''],
  ])('canonicalHost returns for %j the host %j', (host, canonical) => {
    expect(canonicalHost(host)).toBe(canonical);
  });
});

describe('networkOf', () => {
  const of = (text: string) => {
    const address = parseAddress(text);
    return address && networkOf(address);
  };

  test('networkOf maps the addresses of one IPv6 /64 to the same network', () => {
    expect(of('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2::');
    expect(of('2001:db8:1:2::ffff')).toBe(of('2001:0db8:0001:0002:ffff::1'));
    expect(of('2001:db8:1:3::1')).not.toBe(of('2001:db8:1:2::1'));
    expect(of('::1')).toBe('0:0:0:0::');
  });

  test('networkOf keeps the zone, since each link has its own addresses', () => {
    expect(of('fe80::1%eth0')).toBe('fe80:0:0:0::%eth0');
    expect(of('fe80::1%eth1')).not.toBe(of('fe80::1%eth0'));
  });

  test('networkOf keeps the whole of an IPv4 address, also of a mapped one', () => {
    expect(of('192.0.2.1')).toBe('192.0.2.1');
    expect(of('::ffff:c000:201')).toBe('192.0.2.1');
  });
});
