/** Parses the settings of the authorization server whose access tokens are accepted. Without them only API keys are. */
import * as z from 'zod';
import { TOKEN_TYPES, type TokenIssuer, type TokenType } from '../contract/caller.ts';
import { TOKEN_LIFETIME_MAX_SECONDS } from '../contract/limits.ts';
import { invalidSetting, parseEnvironment } from './environment.ts';
import { ISSUED_NAME_PATTERN, issuedOrganization, list, mappedUsers, secureUrl } from './issuer.ts';

const LIFETIME_PATTERN = /^[1-9]\d{0,7}$/;

const OAuthEnvironment = z.object({
  KEYHOLD_OAUTH_ISSUER: secureUrl,
  KEYHOLD_OAUTH_AUDIENCE: z
    .string()
    .regex(ISSUED_NAME_PATTERN, 'must be what the issuer calls this server, without blanks')
    .optional(),
  KEYHOLD_OAUTH_CLIENT_IDS: list(
    z.string().regex(ISSUED_NAME_PATTERN),
    'must be client ids, as in the claim client_id',
  ),
  KEYHOLD_OAUTH_JWKS_URL: secureUrl,
  KEYHOLD_OAUTH_ORGANIZATION: issuedOrganization,
  KEYHOLD_OAUTH_USERS: mappedUsers,
  KEYHOLD_OAUTH_CLIENT_SUBJECTS: z.enum(['true', 'false'], 'must be true or false').optional(),
  KEYHOLD_OAUTH_TOKEN_TYPES: list(
    z.string().toLowerCase().pipe(z.enum(TOKEN_TYPES)),
    `must be some of ${TOKEN_TYPES.join(', ')}`,
  ),
  KEYHOLD_OAUTH_LIFETIME: z
    .string()
    .regex(LIFETIME_PATTERN, 'must be a number of seconds, from 1 to 99999999')
    .transform(Number)
    .optional(),
});

const DEFAULT_TOKEN_TYPES: readonly TokenType[] = ['at+jwt'];

/** Returns undefined if no setting is set. Throws INVALID_INPUT for a setting that is invalid or that lacks another one. */
export function parseOAuthSettings(environment: NodeJS.ProcessEnv): TokenIssuer | undefined {
  const env = parseEnvironment(OAuthEnvironment, environment);
  const { KEYHOLD_OAUTH_ISSUER: issuer, KEYHOLD_OAUTH_AUDIENCE: audience } = env;
  const set = OAuthEnvironment.keyof().options.find((name) => env[name] !== undefined);
  if (set === undefined) return undefined;
  if (issuer === undefined || audience === undefined) {
    const missing = issuer === undefined ? 'KEYHOLD_OAUTH_ISSUER' : 'KEYHOLD_OAUTH_AUDIENCE';
    throw invalidSetting(`${missing} must be set too when ${set} is`);
  }
  return {
    issuer,
    audience,
    client_ids: env.KEYHOLD_OAUTH_CLIENT_IDS ?? [],
    jwks_url: env.KEYHOLD_OAUTH_JWKS_URL,
    organization: env.KEYHOLD_OAUTH_ORGANIZATION,
    users: new Map(env.KEYHOLD_OAUTH_USERS ?? []),
    client_subjects: env.KEYHOLD_OAUTH_CLIENT_SUBJECTS === 'true',
    token_types: env.KEYHOLD_OAUTH_TOKEN_TYPES ?? DEFAULT_TOKEN_TYPES,
    lifetime_max_seconds: env.KEYHOLD_OAUTH_LIFETIME ?? TOKEN_LIFETIME_MAX_SECONDS,
  };
}
