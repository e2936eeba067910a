/** SHA-256 fingerprints of the host keys of SSH servers (RFC 4251, section 4.1), and the types of host keys that are accepted. */
import { createHash } from 'node:crypto';
import type { ServerHostKeyAlgorithm } from 'ssh2';

export interface HostKey {
  /** Such as `ssh-ed25519`. */
  readonly type: string;
  /** As OpenSSH prints it: `SHA256:` and base64 without padding. */
  readonly fingerprint: string;
}

/**
 * Signature algorithms of host keys, with the type of key of each. The order is fixed: a server with several keys proves the
 * first of these types that it has, so that every test of a server sees the same key.
 */
const ALGORITHMS: readonly (readonly [ServerHostKeyAlgorithm, type: string])[] = [
  ['ssh-ed25519', 'ssh-ed25519'],
  ['ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp256'],
  ['ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp384'],
  ['ecdsa-sha2-nistp521', 'ecdsa-sha2-nistp521'],
  ['rsa-sha2-512', 'ssh-rsa'],
  ['rsa-sha2-256', 'ssh-rsa'],
  ['ssh-rsa', 'ssh-rsa'],
];
const OPENSSH = /^(SHA256:[A-Za-z0-9+/]{43})=?$/;
const HEX = /^[0-9a-f]{2}(?::?[0-9a-f]{2}){31}$/i;

/** The algorithms to offer; `after`: only those of the types that follow this one. */
export function hostKeyAlgorithms(after?: string): ServerHostKeyAlgorithm[] {
  const last = ALGORITHMS.findLastIndex(([, type]) => type === after);
  return ALGORITHMS.slice(last + 1).map(([algorithm]) => algorithm);
}

/** `blob`: the public key as the protocol sends it; it begins with the length and the name of its type. */
export function hostKeyOf(blob: Buffer): HostKey {
  const type = blob.toString('latin1', 4, 4 + blob.readUInt32BE(0));
  return { type, fingerprint: inBase64(createHash('sha256').update(blob).digest()) };
}

/** A fingerprint as OpenSSH prints it or in hexadecimal, in the notation of `HostKey`; `undefined` for other text. */
export function parseFingerprint(text: string): string | undefined {
  if (HEX.test(text)) return inBase64(Buffer.from(text.replaceAll(':', ''), 'hex'));
  return OPENSSH.exec(text)?.[1];
}

function inBase64(digest: Buffer): string {
  return `SHA256:${digest.toString('base64').replace(/=+$/, '')}`;
}
