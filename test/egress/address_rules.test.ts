import { describe, expect, test } from 'vitest';
import { refusedKind } from '../../src/egress/address_rules.ts';
import { AllowList } from '../../src/egress/allow_list.ts';

describe('an address', () => {
  test.each([
    ['127.0.0.1', 'loopback'],
    ['127.255.255.254', 'loopback'],
    ['::1', 'loopback'],
    ['[::1]', 'loopback'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:7f00:1', 'loopback'],
    ['0:0:0:0:0:ffff:7f00:0001', 'loopback'],
    ['10.0.0.1', 'private'],
    ['172.16.0.1', 'private'],
    ['172.31.255.255', 'private'],
    ['192.168.1.1', 'private'],
    ['::ffff:192.168.1.1', 'private'],
    ['fd00:ec2::254', 'private'],
    ['fc00::1', 'private'],
    ['fec0::1', 'private'],
    ['169.254.169.254', 'link-local'],
    ['::ffff:a9fe:a9fe', 'link-local'],
    ['fe80::1', 'link-local'],
    ['fe80::1%eth0', 'link-local'],
    ['168.63.129.16', 'metadata'],
    ['::ffff:168.63.129.16', 'metadata'],
    ['100.64.0.1', 'shared'],
    ['100.127.255.255', 'shared'],
    ['224.0.0.1', 'multicast'],
    ['ff02::1', 'multicast'],
    ['64:ff9b::7f00:1', 'translated'],
    ['64:ff9b:1::a00:1', 'translated'],
    ['2002:7f00:1::', 'translated'],
    ['2001::4136:e378:8000:63bf:3fff:fdd2', 'translated'],
    ['192.88.99.1', 'translated'],
    ['0.0.0.0', 'reserved'],
    ['0.1.2.3', 'reserved'],
    ['255.255.255.255', 'reserved'],
    ['192.0.2.1', 'reserved'],
    ['198.18.0.1', 'reserved'],
    ['2001:db8::1', 'reserved'],
    ['::', 'reserved'],
    ['::7f00:1', 'reserved'],
    ['100::1', 'reserved'],
    ['4000::1', 'reserved'],
    ['example.com', 'reserved'],
    ['', 'reserved'],
  ])('%s is refused as %s', (address, kind) => {
    expect(refusedKind(address)).toBe(kind);
  });

  test.each([
    '1.1.1.1',
    '8.8.8.8',
    '100.63.255.255',
    '100.128.0.1',
    '172.15.0.1',
    '172.32.0.1',
    '168.63.129.15',
    '223.255.255.255',
    '2606:4700::1111',
    '2a00:1450:4001:81b::200e',
    '::ffff:8.8.8.8',
  ])('%s is public', (address) => {
    expect(refusedKind(address)).toBeUndefined();
  });
});

describe("the operator's list", () => {
  test.each([
    ['10.0.0.0/8', 'db.internal', 5432, '10.2.3.4', true],
    ['10.0.0.0/8', 'db.internal', 5432, '192.168.0.1', false],
    ['10.1.2.3', 'db.internal', 5432, '10.1.2.3', true],
    ['10.1.2.3:443', '10.1.2.3', 443, '10.1.2.3', true],
    ['10.1.2.3:443', '10.1.2.3', 444, '10.1.2.3', false],
    ['fd00::/8', 'x.example', 443, 'fd12::1', true],
    ['127.0.0.1', 'x.example', 443, '::ffff:127.0.0.1', true],
    ['Grafana.Internal', 'grafana.internal', 443, '10.0.0.1', true],
    ['grafana.internal:8443', 'grafana.internal', 443, '10.0.0.1', false],
    ['grafana.internal:8443', 'grafana.internal', 8443, '10.0.0.1', true],
    ['*.internal', 'a.b.internal', 443, '10.0.0.1', true],
    ['*.internal', 'internal', 443, '10.0.0.1', false],
    ['*.internal', 'xinternal', 443, '10.0.0.1', false],
    ['internal', 'a.internal', 443, '10.0.0.1', false],
    [' a.example , 10.0.0.0/8 ,', 'b.example', 443, '10.0.0.1', true],
    ['', 'b.example', 443, '10.0.0.1', false],
  ])('%s, for %s:%i at %s, allows: %s', (text, host, port, address, expected) => {
    expect(AllowList.parse(text)?.allows(host, port, address)).toBe(expected);
  });

  test.each([
    '10.0.0.0/33',
    'fd00::/129',
    '10.0.0.0/8/8',
    'a b',
    'https://a.example',
    'a.example/8',
    '*',
    '*.',
    'a.example:0',
    'a.example:70000',
    'a..',
    '-a.example',
  ])('%j is refused', (text) => {
    expect(AllowList.parse(text)).toBeUndefined();
  });
});
