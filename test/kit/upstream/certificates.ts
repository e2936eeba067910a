/**
 * A certificate authority for tests: created when a test process first needs it, with a certificate for each set of host
 * names (X.509, RFC 5280). Node.js can sign but not encode certificates, so this file writes their DER (X.690).
 */

import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIPv4 } from 'node:net';

export interface IssuedCertificate {
  /** PEM. */
  readonly cert: string;
  /** PEM, PKCS #8. */
  readonly key: string;
}

interface Subject {
  readonly common_name: string;
  readonly public_key: KeyObject;
  readonly extensions: readonly Buffer[];
  readonly days?: readonly [from: number, to: number];
  /** Absent: the authority signs it. */
  readonly own_key?: KeyObject;
}

const TAG = { integer: 2, bit_string: 3, octet_string: 4, utf8_string: 12, sequence: 48, set: 49 } as const;
const CA_NAME = 'Keyhold test CA';
const OID = {
  common_name: '550403',
  ecdsa_with_sha256: '2a8648ce3d040302',
  subject_key_id: '551d0e',
  subject_alt_name: '551d11',
  basic_constraints: '551d13',
  authority_key_id: '551d23',
};

const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ca = newKey();
const ca_certificate = certificate({
  common_name: CA_NAME,
  public_key: ca.publicKey,
  extensions: [
    extension(OID.basic_constraints, sequence(der(1, Buffer.from([0xff]))), true),
    extension(OID.subject_key_id, der(TAG.octet_string, keyId(ca.publicKey))),
  ],
});

/** The certificate of the authority in PEM, for `Egress`, `KEYHOLD_EGRESS_CA` or `curl --cacert`. */
export const TEST_CA_CERT: string = pem(ca_certificate);

/** A certificate for all these host names or IPv4 addresses. A name may begin with `*.`. `days`: from and to when it is valid, from now. */
export function issueCertificate(
  names: readonly string[],
  days: readonly [from: number, to: number] = [-1, 3650],
): IssuedCertificate {
  const { publicKey, privateKey } = newKey();
  const cert = certificate({
    common_name: 'Keyhold test upstream',
    public_key: publicKey,
    extensions: [
      extension(OID.subject_alt_name, sequence(...names.map(alternativeName))),
      extension(OID.authority_key_id, sequence(der(0x80, keyId(ca.publicKey)))),
    ],
    days,
  });
  return { cert: pem(cert), key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string };
}

/** A certificate that nobody trusts. */
export function selfSignedCertificate(names: readonly string[]): IssuedCertificate {
  const { publicKey, privateKey } = newKey();
  const extensions = [extension(OID.subject_alt_name, sequence(...names.map(alternativeName)))];
  const subject = { common_name: 'Self-signed', public_key: publicKey, extensions, own_key: privateKey };
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  return { cert: pem(certificate(subject)), key };
}

/** RFC 5280, section 4.2.1.6: dNSName or iPAddress. */
function alternativeName(name: string): Buffer {
  return isIPv4(name) ? der(0x87, Buffer.from(name.split('.').map(Number))) : der(0x82, Buffer.from(name));
}

/** Signed by the authority, unless it has a key that signs itself. */
function certificate({ common_name, public_key, extensions, days = [-1, 3650], own_key }: Subject): Buffer {
  const algorithm = sequence(oid(OID.ecdsa_with_sha256));
  const serial = Buffer.concat([Buffer.from([1]), randomBytes(15)]);
  const content = sequence(
    der(0xa0, der(TAG.integer, Buffer.from([2]))),
    der(TAG.integer, serial),
    algorithm,
    distinguishedName(own_key === undefined ? CA_NAME : common_name),
    sequence(time(days[0]), time(days[1])),
    distinguishedName(common_name),
    public_key.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions)),
  );
  const signature = sign('sha256', content, own_key ?? ca.privateKey);
  return sequence(content, algorithm, der(TAG.bit_string, Buffer.concat([Buffer.from([0]), signature])));
}

function distinguishedName(common_name: string): Buffer {
  const attribute = sequence(oid(OID.common_name), der(TAG.utf8_string, Buffer.from(common_name)));
  return sequence(der(TAG.set, attribute));
}

function extension(id: string, value: Buffer, is_critical = false): Buffer {
  const critical = is_critical ? [der(1, Buffer.from([0xff]))] : [];
  return sequence(oid(id), ...critical, der(TAG.octet_string, value));
}

/** GeneralizedTime, some days from now. RFC 5280 wants UTCTime before 2050. */
function time(days: number): Buffer {
  const text = new Date(Date.now() + days * 86_400_000).toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  return der(23, Buffer.from(text.slice(2)));
}

function keyId(key: KeyObject): Buffer {
  return createHash('sha1')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest();
}

function oid(hex: string): Buffer {
  return der(6, Buffer.from(hex, 'hex'));
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(TAG.sequence, Buffer.concat(parts));
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}
