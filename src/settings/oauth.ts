/** The settings that let users of an authorization server in, by its access tokens. Without them only API keys are taken. */
import * as z from 'zod';
import { OrganizationName } from '../contract/api_key.ts';
import { LOCAL_ORGANIZATION } from '../contract/caller.ts';
import { VaultError } from '../contract/errors.ts';
import { isSecureUrl, type TokenIssuer } from '../contract/token_issuer.ts';

const SECURE = 'an https URL without user, query and fragment (http for this machine only)';
const AUDIENCE_PATTERN = /^[\x21-\x7e]{1,255}$/;

/** RFC 8414, section 2: an issuer has neither a query nor a fragment. */
const secureUrl = z
  .string()
  .refine((text) => isSecureUrl(text) && !/[?#\s]/.test(text), `must be ${SECURE}`)
  .optional();

/** For the schema of all settings. */
export const OAUTH_ENVIRONMENT = {
  KEYHOLD_OAUTH_ISSUER: secureUrl,
  KEYHOLD_OAUTH_AUDIENCE: z
    .string()
    .regex(AUDIENCE_PATTERN, 'must be what the issuer calls this server, without blanks')
    .optional(),
  KEYHOLD_OAUTH_JWKS_URL: secureUrl,
  KEYHOLD_OAUTH_ORGANIZATION: OrganizationName.optional(),
};

const NAMES = [
  'KEYHOLD_OAUTH_ISSUER',
  'KEYHOLD_OAUTH_AUDIENCE',
  'KEYHOLD_OAUTH_JWKS_URL',
  'KEYHOLD_OAUTH_ORGANIZATION',
] as const;
const OAuthEnvironment = z.object(OAUTH_ENVIRONMENT);

/** `undefined`: no access tokens. Throws INVALID_INPUT for settings that are right each for itself, but not together. */
export function oauthSettings(env: z.output<typeof OAuthEnvironment>): TokenIssuer | undefined {
  const { KEYHOLD_OAUTH_ISSUER: issuer, KEYHOLD_OAUTH_AUDIENCE: audience } = env;
  const set = NAMES.find((name) => env[name] !== undefined);
  if (set === undefined) return undefined;
  if (issuer === undefined || audience === undefined) {
    const missing = issuer === undefined ? 'KEYHOLD_OAUTH_ISSUER' : 'KEYHOLD_OAUTH_AUDIENCE';
    throw new VaultError('INVALID_INPUT', `The setting ${missing} must be set too when ${set} is.`, {
      reason: 'setting_invalid',
    });
  }
  return {
    issuer,
    audience,
    jwks_url: env.KEYHOLD_OAUTH_JWKS_URL,
    organization: env.KEYHOLD_OAUTH_ORGANIZATION ?? LOCAL_ORGANIZATION,
  };
}
