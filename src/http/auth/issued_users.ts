/**
 * The users of an issuer: subjects of access tokens and people who sign in with OpenID Connect. Each is the API-key user that the
 * operator mapped it to, or one with the name `oauth/ISSUER/SUBJECT`. The names of API-key users have no slash, so no issuer can name one
 * of them, nor a user of another issuer.
 */
import { hash } from 'node:crypto';
import { UserName } from '../../contract/api_key.ts';

const TAG_CHARACTERS = 12;

/** `undefined` for a subject that cannot be the name of a user. */
export function issuedUser(
  { issuer, users }: { readonly issuer: string; readonly users: ReadonlyMap<string, string> },
  subject: unknown,
): string | undefined {
  const { data } = UserName.safeParse(subject);
  if (data === undefined) return undefined;
  return users.get(data) ?? `oauth/${hash('sha256', issuer).slice(0, TAG_CHARACTERS)}/${data}`;
}
