/** Parses the HTTP settings of `keyhold serve`: address, host names, TLS and rate limits. */
import * as z from 'zod';
import { AUTH_FAILURES_PER_MINUTE, REQUESTS_PER_MINUTE } from '../contract/limits.ts';
import { parseAddress } from '../io/ip_address.ts';
import { invalidSetting, parseEnvironment } from './environment.ts';
import { resolvePath } from './folders.ts';

export interface HttpSettings {
  /** A name or an address; IPv6 without brackets. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** The URL for clients, without a slash at the end; undefined: derived from the address it listens on. */
  readonly public_url: string | undefined;
  /** Further host names of the server. */
  readonly allowed_hosts: readonly string[];
  readonly behind_proxy: boolean;
  /** Paths of PEM files. */
  readonly tls: { readonly cert_path: string; readonly key_path: string } | undefined;
  /** 0: no limit. */
  readonly requests_per_minute: number;
  /** 0: no limit. */
  readonly auth_failures_per_minute: number;
  /** How long the server goes on serving after the request to stop, for a balancer to notice that it is not ready. */
  readonly drain_seconds: number;
}

const HOST_NAME = /^[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?$/i;
const PORT_MAX = 65_535;
const DRAIN_SECONDS_MAX = 300;
/** Without a proxy, no balancer sends requests. */
const DRAIN_SECONDS_BEHIND_PROXY = 5;
const PER_MINUTE_MAX = 1_000_000;

const wholeNumber = (max: number, what: string) =>
  z
    .string()
    .regex(/^\d{1,7}$/, what)
    .transform(Number)
    .refine((number) => number <= max, what)
    .optional();
const perMinute = wholeNumber(
  PER_MINUTE_MAX,
  `must be a number a minute, at most ${PER_MINUTE_MAX}, or 0 for no limit`,
);
const path = z
  .string()
  .refine((text) => text !== '', 'must be the path of a PEM file')
  .optional();

const PORT_DEFAULT = 8787;

const HttpEnvironment = z.object({
  KEYHOLD_HOST: z
    .string()
    .transform(hostOf)
    .pipe(z.string('must be a host name or an IP address'))
    .optional(),
  KEYHOLD_PORT: wholeNumber(PORT_MAX, `must be a port from 1 to ${PORT_MAX}, or 0 for any that is free`),
  KEYHOLD_PUBLIC_URL: z
    .string()
    .refine(isPublicUrl, 'must be an http or https URL without user, query and fragment')
    .transform((text) => new URL(text).href.replace(/\/+$/, ''))
    .optional(),
  KEYHOLD_ALLOWED_HOSTS: z
    .string()
    .transform((text) => text.split(',').map((name) => hostOf(name.trim())))
    .pipe(z.array(z.string('must be host names with commas between them, without ports')))
    .optional(),
  KEYHOLD_BEHIND_PROXY: z.enum(['true', 'false'], 'must be true or false').optional(),
  KEYHOLD_TLS_CERT: path,
  KEYHOLD_TLS_KEY: path,
  KEYHOLD_RATE_LIMIT: perMinute,
  KEYHOLD_AUTH_FAILURE_LIMIT: perMinute,
  KEYHOLD_DRAIN_SECONDS: wholeNumber(
    DRAIN_SECONDS_MAX,
    `must be a number of seconds, at most ${DRAIN_SECONDS_MAX}`,
  ),
});

/** The port of redirect URIs where no server runs. Throws INVALID_INPUT for an invalid setting. */
export function parseCallbackPort(environment: NodeJS.ProcessEnv): number {
  return parseEnvironment(HttpEnvironment, environment).KEYHOLD_PORT || PORT_DEFAULT;
}

/** Throws INVALID_INPUT for a setting that is invalid by itself or together with another one. Paths are relative to `home`. */
export function parseHttpSettings(environment: NodeJS.ProcessEnv, home: string): HttpSettings {
  const env = parseEnvironment(HttpEnvironment, environment);
  const { KEYHOLD_TLS_CERT: cert, KEYHOLD_TLS_KEY: key } = env;
  if ((cert === undefined) !== (key === undefined)) {
    const [missing, set] = cert === undefined ? ['CERT', 'KEY'] : ['KEY', 'CERT'];
    throw invalidSetting(`KEYHOLD_TLS_${missing} must be set too when KEYHOLD_TLS_${set} is`);
  }
  const behind_proxy = env.KEYHOLD_BEHIND_PROXY === 'true';
  return {
    host: env.KEYHOLD_HOST ?? '127.0.0.1',
    port: env.KEYHOLD_PORT ?? PORT_DEFAULT,
    public_url: env.KEYHOLD_PUBLIC_URL,
    allowed_hosts: env.KEYHOLD_ALLOWED_HOSTS ?? [],
    behind_proxy,
    tls:
      cert && key
        ? {
            cert_path: resolvePath('KEYHOLD_TLS_CERT', cert, home, environment),
            key_path: resolvePath('KEYHOLD_TLS_KEY', key, home, environment),
          }
        : undefined,
    requests_per_minute: env.KEYHOLD_RATE_LIMIT ?? REQUESTS_PER_MINUTE,
    auth_failures_per_minute: env.KEYHOLD_AUTH_FAILURE_LIMIT ?? AUTH_FAILURES_PER_MINUTE,
    drain_seconds: env.KEYHOLD_DRAIN_SECONDS ?? (behind_proxy ? DRAIN_SECONDS_BEHIND_PROXY : 0),
  };
}

/** A host name, or an address without brackets; undefined for any other text. */
function hostOf(text: string): string | undefined {
  const address = parseAddress(text);
  if (address === undefined) return HOST_NAME.test(text) ? text : undefined;
  return address.zone === undefined ? address.text : `${address.text}%${address.zone}`;
}

function isPublicUrl(text: string): boolean {
  if (!URL.canParse(text) || /\s/.test(text)) return false;
  const { protocol, username, password, search, hash } = new URL(text);
  return (protocol === 'http:' || protocol === 'https:') && `${username}${password}${search}${hash}` === '';
}
