/** Parses the settings of the authorization server whose access tokens are accepted. Without them only API keys are. */
import * as z from 'zod';
import { LOCAL_ORGANIZATION, OrganizationName, type TokenIssuer } from '../contract/caller.ts';
import { isSecureUrl } from '../io/server_url.ts';
import { invalidSetting, parseEnvironment } from './environment.ts';

const SECURE = 'an https URL without user, query and fragment (http for this machine only)';
const AUDIENCE_PATTERN = /^[\x21-\x7e]{1,255}$/;

/** RFC 8414, section 2: an issuer has neither a query nor a fragment. */
const secureUrl = z
  .string()
  .refine((text) => isSecureUrl(text) && !/[?#\s]/.test(text), `must be ${SECURE}`)
  .optional();

const OAuthEnvironment = z.object({
  KEYHOLD_OAUTH_ISSUER: secureUrl,
  KEYHOLD_OAUTH_AUDIENCE: z
    .string()
    .regex(AUDIENCE_PATTERN, 'must be what the issuer calls this server, without blanks')
    .optional(),
  KEYHOLD_OAUTH_JWKS_URL: secureUrl,
  KEYHOLD_OAUTH_ORGANIZATION: OrganizationName.optional(),
});

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
    jwks_url: env.KEYHOLD_OAUTH_JWKS_URL,
    organization: env.KEYHOLD_OAUTH_ORGANIZATION ?? LOCAL_ORGANIZATION,
  };
}
