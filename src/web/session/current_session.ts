/** The session of a request: that of its cookie, if the settings of the identity provider still permit it. */
import type { IdentityProvider } from '../../contract/caller.ts';
import { issuedUser } from '../../http/auth/issued_users.ts';
import type { WebSession } from '../../vault/people/web_sessions.ts';
import type { Vault } from '../../vault/vault.ts';
import type { AnyPageContext } from '../page.ts';
import type { PageCookies } from './cookies.ts';

export interface CurrentSession {
  /** Of the cookie. */
  readonly token: string;
  readonly session: WebSession;
}

export type FindSession = (c: AnyPageContext) => Promise<CurrentSession | undefined>;

export function sessionFinder(
  { web_sessions }: Pick<Vault, 'web_sessions'>,
  cookies: PageCookies,
  provider: IdentityProvider | undefined,
): FindSession {
  return async (c) => {
    const token = cookies.sessionToken(c);
    const session = token && (await web_sessions.find(token, c.env.mount.request_id));
    return token && session && isPermitted(session, provider) ? { token, session } : undefined;
  };
}

/** The operator can have changed the issuer, the organization or the user that the subject acts as. */
function isPermitted({ identity, caller }: WebSession, provider: IdentityProvider | undefined): boolean {
  if (identity === undefined) return true;
  return (
    provider?.issuer === identity.issuer &&
    provider.organization === caller.organization &&
    issuedUser(provider, identity.subject) === caller.user
  );
}
