/** How a definition says that a service is reached without HTTP, such as a database, so that its credentials can be tested. */
import * as z from 'zod';
import { fieldId } from './texts.ts';

/** Each has a probe in `src/probe/protocols`. */
export const CONNECTION_PROTOCOLS = [
  'postgresql',
  'mysql',
  'mongodb',
  'redis',
  'sftp',
  'smtp',
  'imap',
] as const;
export type ConnectionProtocol = (typeof CONNECTION_PROTOCOLS)[number];

/**
 * What a connection is made with. `url`: a connection string, which has all of it; the other parameters are then not used.
 * `tls`: a choice of how the connection is encrypted. `host_key`: the fingerprint of the server's SSH key.
 * `test_path`: the folder for the file that an SFTP test writes and removes.
 */
export const CONNECTION_PARAMETERS = [
  'url',
  'host',
  'port',
  'tls',
  'host_key',
  'username',
  'password',
  'database',
  'private_key',
  'passphrase',
  'test_path',
] as const;
export type ConnectionParameter = (typeof CONNECTION_PARAMETERS)[number];

/** Those that decide where secrets are sent and how they are protected on the way. */
export const BOUND_PARAMETERS: readonly ConnectionParameter[] = ['host', 'port', 'tls', 'host_key'];

/** Tested if the credential has the field of `url` or of `host`. */
export const ConnectionRule = z
  .strictObject({
    protocol: z.enum(CONNECTION_PROTOCOLS),
    /** The field with each parameter. */
    fields: z.partialRecord(z.enum(CONNECTION_PARAMETERS), fieldId),
  })
  .refine(({ fields }) => fields.url !== undefined || fields.host !== undefined, 'must have a url or a host');
export type ConnectionRule = z.infer<typeof ConnectionRule>;
