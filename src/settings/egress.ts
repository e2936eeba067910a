/**
 * Parses the settings of outgoing connections: hosts and certificates that the operator allows, and the forward proxy that
 * other programs use too.
 */
import * as z from 'zod';
import { AllowList } from '../egress/allow_list.ts';
import type { ForwardProxy } from '../egress/forward_proxy.ts';
import { readCertificates } from './certificates.ts';
import { invalidSetting, parseEnvironment } from './environment.ts';
import { resolvePath } from './folders.ts';

export interface EgressSettings {
  /** Networks and hosts that requests may go to although their addresses are not public. */
  readonly allow: AllowList;
  /** Certificates in PEM that are trusted beside those of Node.js. */
  readonly ca: readonly string[] | undefined;
}

const EgressEnvironment = z.object({
  KEYHOLD_EGRESS_ALLOW: z
    .string()
    .transform((text) => AllowList.parse(text))
    .pipe(
      z.custom<AllowList>(
        (list) => list !== undefined,
        'must be networks such as 10.0.0.0/8, addresses, hosts, HOST:PORT or *.DOMAIN, with commas between them',
      ),
    )
    .optional(),
  KEYHOLD_EGRESS_CA: z
    .string()
    .refine((text) => text !== '', 'must be the path of a PEM file')
    .optional(),
});

/**
 * Throws INVALID_INPUT for an invalid setting, and for a file of certificates that is missing, unreadable or has none. Its
 * path is relative to `home`.
 */
export function parseEgressSettings(environment: NodeJS.ProcessEnv, home: string): EgressSettings {
  const { KEYHOLD_EGRESS_ALLOW, KEYHOLD_EGRESS_CA } = parseEnvironment(EgressEnvironment, environment);
  return {
    allow: KEYHOLD_EGRESS_ALLOW ?? AllowList.none(),
    ca:
      KEYHOLD_EGRESS_CA === undefined
        ? undefined
        : readCertificates(
            'the setting KEYHOLD_EGRESS_CA',
            resolvePath('KEYHOLD_EGRESS_CA', KEYHOLD_EGRESS_CA, home, environment),
          ),
  };
}

/**
 * The proxy of the variables that other programs read too, lower case first. An empty one counts as not set. Throws
 * INVALID_INPUT for one that cannot be used, so call it only where requests are sent: the variable is not Keyhold's own.
 */
export function parseForwardProxy(env: NodeJS.ProcessEnv): ForwardProxy | undefined {
  const text = env.https_proxy || env.HTTPS_PROXY || env.all_proxy || env.ALL_PROXY;
  if (!text) return undefined;
  const url = text.includes('://') ? text : `http://${text}`;
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw invalidSetting('HTTPS_PROXY must be the http or https URL of a proxy');
  if (!isDecodable(new URL(url)))
    throw invalidSetting('HTTPS_PROXY must have %25 for each % in its user name and password');
  const bypass = (env.no_proxy || env.NO_PROXY || '').split(/[\s,]+/).filter((entry) => entry !== '');
  return { url, bypass };
}

/** `URL` accepts a percent sign that begins no escape, which cannot be decoded. */
function isDecodable({ username, password }: URL): boolean {
  try {
    for (const text of [username, password]) decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
