/** How the access token of a credential is obtained without a person. Pure functions. */
import type { Service } from '../../contract/service/service.ts';
import { fieldsIn } from '../../contract/service/texts.ts';

/** RFC 6749, sections 4.4 and 6; RFC 7523, section 2.1; `account_credentials` is that of Zoom. */
export const TOKEN_GRANTS = [
  'refresh_token',
  'client_credentials',
  'jwt_bearer',
  'account_credentials',
] as const;
export type TokenGrant = (typeof TOKEN_GRANTS)[number];

type OAuthService = Pick<Service, 'oauth'>;

/**
 * The grant that returns the next access token of a credential with these fields; `undefined`: a person must connect it.
 * `obtained_by`: the grant that returned the stored access token. One that was given by a person may be of another account
 * than a grant without a person would return, so that only its refresh token replaces it.
 */
export function tokenGrantOf(
  { oauth }: OAuthService,
  fields: readonly string[],
  obtained_by?: TokenGrant,
): TokenGrant | undefined {
  if (oauth?.access_token_field === undefined) return undefined;
  const has = (id: string | undefined) => id !== undefined && fields.includes(id);
  const { client_id_field, client_secret_field, grants = [], grant_settings = {} } = oauth;
  const has_client_id = client_id_field === undefined || has(client_id_field);
  if (has(oauth.refresh_token_field) && has_client_id) return 'refresh_token';
  const has_client = has(client_id_field) && has(client_secret_field);
  const parameters = Object.values(grant_settings.account_credentials?.token_parameters ?? {});
  const is_complete: Readonly<Record<Exclude<TokenGrant, 'refresh_token'>, boolean>> = {
    jwt_bearer: has(grant_settings.jwt_bearer?.key_field),
    account_credentials: has_client && parameters.flatMap(fieldsIn).every(has),
    client_credentials: has_client,
  };
  const possible = (['jwt_bearer', 'account_credentials', 'client_credentials'] as const).filter(
    (grant) => grants.includes(grant) && is_complete[grant],
  );
  const [first] = possible;
  if (!has(oauth.access_token_field)) return first;
  return possible.find((grant) => grant === obtained_by);
}
