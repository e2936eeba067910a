/** Parses the settings of the OpenID Connect provider with which people sign in to the pages. Without them only API keys do. */
import * as z from 'zod';
import type { IdentityProvider } from '../contract/caller.ts';
import { UNPRINTABLE_CHARACTER_PATTERN } from '../contract/patterns.ts';
import { invalidSetting, parseEnvironment } from './environment.ts';
import { ISSUED_NAME_PATTERN, issuedOrganization, mappedUsers, secureUrl } from './issuer.ts';
import { readSecretSetting } from './secret.ts';

const SECRET = {
  name: 'KEYHOLD_OIDC_CLIENT_SECRET',
  file_setting: 'KEYHOLD_OIDC_CLIENT_SECRET_FILE',
} as const;
const NAME_MAX_CHARACTERS = 50;
/** RFC 6749, section 3.3, with blanks or commas between the scopes. */
const SCOPES_PATTERN =
  /^[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]{1,100}(?:[ ,]+[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]{1,100}){0,19}$/;

const OidcEnvironment = z.object({
  KEYHOLD_OIDC_ISSUER: secureUrl,
  KEYHOLD_OIDC_CLIENT_ID: z
    .string()
    .regex(ISSUED_NAME_PATTERN, 'must be the client id that the provider gave, without blanks')
    .optional(),
  KEYHOLD_OIDC_ORGANIZATION: issuedOrganization,
  KEYHOLD_OIDC_USERS: mappedUsers,
  KEYHOLD_OIDC_NAME: z
    .string()
    .refine(
      (text) =>
        text !== '' && text.length <= NAME_MAX_CHARACTERS && !UNPRINTABLE_CHARACTER_PATTERN.test(text),
      `must be a name of at most ${NAME_MAX_CHARACTERS} visible characters`,
    )
    .optional(),
  KEYHOLD_OIDC_SCOPES: z
    .string()
    .regex(SCOPES_PATTERN, 'must be scopes with blanks between them')
    .transform((text) => text.split(/[ ,]+/))
    .refine((scopes) => scopes.includes('openid'), 'must be scopes, one of them openid')
    .optional(),
});

const REQUIRED = ['KEYHOLD_OIDC_ISSUER', 'KEYHOLD_OIDC_CLIENT_ID', 'KEYHOLD_OIDC_ORGANIZATION'] as const;

/** Returns undefined if no setting is set. Throws INVALID_INPUT for a setting that is invalid or that lacks another one. */
export function parseOidcSettings(
  environment: NodeJS.ProcessEnv,
  home: string,
): IdentityProvider | undefined {
  const env = parseEnvironment(OidcEnvironment, environment);
  const client_secret = readSecretSetting(environment, SECRET, home);
  const set =
    OidcEnvironment.keyof().options.find((name) => env[name] !== undefined) ??
    (client_secret === undefined ? undefined : SECRET.name);
  if (set === undefined) return undefined;
  const {
    KEYHOLD_OIDC_ISSUER: issuer,
    KEYHOLD_OIDC_CLIENT_ID: client_id,
    KEYHOLD_OIDC_ORGANIZATION: organization,
  } = env;
  if (issuer === undefined || client_id === undefined || organization === undefined) {
    const missing = REQUIRED.find((name) => env[name] === undefined);
    throw invalidSetting(`${missing} must be set too when ${set} is`);
  }
  return {
    issuer,
    client_id,
    client_secret,
    organization,
    users: new Map(env.KEYHOLD_OIDC_USERS ?? []),
    name: env.KEYHOLD_OIDC_NAME ?? new URL(issuer).hostname,
    scopes: env.KEYHOLD_OIDC_SCOPES ?? ['openid'],
  };
}
