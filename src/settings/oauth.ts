/** Parses the settings of the authorization server whose access tokens are accepted. Without them only API keys are. */
import * as z from 'zod';
import { UserName } from '../contract/api_key.ts';
import {
  LOCAL_ORGANIZATION,
  OrganizationName,
  TOKEN_TYPES,
  type TokenIssuer,
  type TokenType,
} from '../contract/caller.ts';
import { TOKEN_LIFETIME_MAX_SECONDS, TOKEN_SETTING_ENTRIES_MAX } from '../contract/limits.ts';
import { isSecureUrl } from '../io/server_url.ts';
import { invalidSetting, parseEnvironment } from './environment.ts';

const SECURE = 'an https URL without user, query and fragment (http for this machine only)';
/** Names that an issuer gives: printable ASCII without blanks, quotes and backslashes. */
const ISSUED_NAME_PATTERN = /^[\x21\x23-\x5b\x5d-\x7e]{1,255}$/;
const LIFETIME_PATTERN = /^[1-9]\d{0,7}$/;

/** RFC 8414, section 2: an issuer has neither a query nor a fragment. */
const secureUrl = z
  .string()
  .refine((text) => isSecureUrl(text) && !/[?#\s]/.test(text), `must be ${SECURE}`)
  .optional();

/** Elements with commas between them. */
const list = <Element>(schema: z.ZodType<Element, string>, rule: string) =>
  z
    .string()
    .transform((text) => text.split(',').map((element) => schema.safeParse(element.trim())))
    .refine(
      (elements) => elements.length <= TOKEN_SETTING_ENTRIES_MAX && elements.every(({ success }) => success),
      `${rule}, with commas between them`,
    )
    .transform((elements) => elements.flatMap(({ data }) => (data === undefined ? [] : [data])))
    .optional();

const MappedUser = z
  .string()
  .transform((text) => text.split('='))
  .pipe(z.tuple([UserName, UserName]));

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
  KEYHOLD_OAUTH_ORGANIZATION: OrganizationName.refine(
    (name) => name !== LOCAL_ORGANIZATION,
    'must be an organization other than "local", which is the operator\'s; keyhold keys create --org NAME makes one',
  ).optional(),
  KEYHOLD_OAUTH_USERS: list(MappedUser, 'must be pairs SUBJECT=USER').refine(
    (pairs) => pairs === undefined || new Set(pairs.map(([subject]) => subject)).size === pairs.length,
    'must name each subject once',
  ),
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
