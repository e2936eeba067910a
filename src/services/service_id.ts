/**
 * The id of a service: UUID version 5 of its slug. It depends on the slug alone, so every installation, of any
 * version, gives one service one id. The namespace must never change: credentials are stored under these ids.
 */
import crypto from 'node:crypto';

/** The namespace of service ids (RFC 9562, section 6.6): itself version 5, of `services.keyhold` under the DNS namespace. */
export const SERVICE_NAMESPACE_UUID = 'a9045b58-98f8-5b31-b067-c18e099e1490';

const NAMESPACE_BYTES = Buffer.from(SERVICE_NAMESPACE_UUID.replaceAll('-', ''), 'hex');

/**
 * The UUID of the service with this slug, in lower case (RFC 9562, section 5.5). Made here and not with a library:
 * all ids are made at every start, and this takes a quarter of the time.
 */
export function serviceId(slug: string): string {
  const bytes = crypto.createHash('sha1').update(NAMESPACE_BYTES).update(slug).digest();
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x50, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex', 0, 16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
