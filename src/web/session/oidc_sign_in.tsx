/**
 * The sign-in with an identity provider. A POST of the sign-in page shows a page that leads to the provider, since `form-action`
 * of the content security policy applies to redirects too. The callback always ends with a redirect, so that its parameters do not stay in the
 * address bar; a failure has a short code in the URL, and the log has its cause.
 */
import type { Context, Hono } from 'hono';
import type { FC } from 'hono/jsx';
import { VaultError } from '../../contract/errors.ts';
import { describeFailure } from '../../contract/logger.ts';
import { issuedUser } from '../../http/auth/issued_users.ts';
import { RateLimiter, type RateLimits } from '../../http/auth/rate_limits.ts';
import { type OidcClient, SignInError } from '../../oauth/oidc_client.ts';
import type { SignInAttempt } from '../../vault/people/sign_in_attempts.ts';
import { showProviderLink } from '../layout/provider_link.tsx';
import { type OpenPageEnv, type PageParts, textOf } from '../page.ts';
import type { PageCookies } from './cookies.ts';
import { assertCallbackMethod, assertPrivateConnection, safeNextPath } from './request_checks.ts';

const OIDC_PATH = '/dashboard/sign-in/oidc';
const CALLBACK_PATH = `${OIDC_PATH}/callback`;

/** Why a sign-in failed, as it is in the URL of the sign-in page. */
const PROBLEMS = {
  declined: 'The sign-in was cancelled. Try again, or sign in with an API key.',
  refused: 'The sign-in was not valid, or took longer than ten minutes. Sign in again.',
  unavailable: 'The identity provider does not work at present. Try again later, or sign in with an API key.',
  not_permitted: 'This account cannot use Keyhold here. Ask your administrator for access.',
} as const;
type Problem = keyof typeof PROBLEMS;

/** The message for a code in the URL; `undefined` for any other text. */
export function problemMessage(code: string | undefined): string | undefined {
  return code !== undefined && Object.hasOwn(PROBLEMS, code) ? PROBLEMS[code as Problem] : undefined;
}

interface OidcSignInOptions {
  readonly oidc: OidcClient;
  readonly cookies: PageCookies;
  readonly limits: Pick<RateLimits, 'requests_per_minute'>;
  /** Counts a failed sign-in of the address. */
  readonly countFailure: (address: string) => void;
  /** Ends the session that the browser had. */
  readonly replaceSession: (c: Context<OpenPageEnv>, token: string) => Promise<void>;
}

export function addOidcSignIn(
  app: Hono<OpenPageEnv>,
  { vault, public_url, log }: PageParts,
  { oidc, cookies, limits, countFailure, replaceSession }: OidcSignInOptions,
): void {
  const { provider } = oidc;
  const redirect_uri = public_url + CALLBACK_PATH;
  const starts = new RateLimiter(limits.requests_per_minute, 'Too many sign-ins.', [vault.nodes, 'sign_ins']);

  const logFailure = (request_id: string, { failure, cause }: SignInError) => {
    const fields = { request_id, failure: describeFailure(cause) };
    if (failure === 'unavailable') log.error(fields, 'the identity provider cannot be used');
    else log.warn(fields, 'a sign-in with the identity provider failed');
  };

  app.post(OIDC_PATH, async (c) => {
    assertPrivateConnection(c.req.raw.headers, public_url);
    const { request_id, address } = c.env.mount;
    starts.count(address());
    const next = safeNextPath(textOf(c.var.form, 'next'));
    try {
      const { authorization_url, secrets } = await oidc.start(redirect_uri);
      cookies.setAttempt(c, await vault.web_sessions.attempts.seal({ ...secrets, next }));
      return showProviderLink(c, provider.name, authorization_url);
    } catch (error) {
      if (!(error instanceof SignInError)) throw error;
      logFailure(request_id, error);
      return c.redirect(failurePath('unavailable', next), 303);
    }
  });

  /** Returns the path of the next page. */
  const signIn = async (c: Context<OpenPageEnv>, attempt: SignInAttempt | undefined): Promise<string> => {
    const { request_id } = c.env.mount;
    if (attempt === undefined) throw new SignInError('refused', undefined);
    const callback = new URL(redirect_uri);
    callback.search = new URL(c.req.url).search;
    const identity = await oidc.finish(callback, attempt);
    const user = issuedUser(provider, identity.subject);
    if (user === undefined) throw new VaultError('FORBIDDEN', 'The subject cannot be the name of a user.');
    const person = { identity, organization: provider.organization, user };
    const { token } = await vault.web_sessions.signInWithIdentity(person, request_id);
    await replaceSession(c, token);
    return safeNextPath(attempt.next);
  };

  app.get(CALLBACK_PATH, async (c) => {
    assertCallbackMethod(c.req.method);
    assertPrivateConnection(c.req.raw.headers, public_url);
    const { request_id, address } = c.env.mount;
    const sealed = cookies.takeAttempt(c);
    const attempt = sealed === undefined ? undefined : await vault.web_sessions.attempts.open(sealed);
    // A cookie that is sent again makes another request to the provider.
    if (attempt !== undefined) starts.count(address());
    try {
      return c.redirect(await signIn(c, attempt), 303);
    } catch (error) {
      const problem = problemOf(error);
      if (problem === undefined) throw error;
      if (error instanceof SignInError) logFailure(request_id, error);
      else log.warn({ request_id, failure: describeFailure(error) }, 'a person may not sign in');
      if (problem === 'refused') {
        void vault.web_sessions.recordRefusal(request_id).catch(() => undefined);
        countFailure(address());
      }
      return c.redirect(failurePath(problem, attempt?.next), 303);
    }
  });
}

function problemOf(error: unknown): Problem | undefined {
  if (error instanceof SignInError) return error.failure;
  if (!(error instanceof VaultError)) return undefined;
  // A name that no user can have, or an organization that does not exist.
  return error.code === 'FORBIDDEN' || error.code === 'INVALID_INPUT' ? 'not_permitted' : undefined;
}

function failurePath(problem: Problem, next: string | undefined): string {
  const path = safeNextPath(next);
  const query = new URLSearchParams({ problem, ...(path === '/dashboard' ? {} : { next: path }) });
  return `/dashboard/sign-in?${query}`;
}

/** The button of the sign-in page. */
export const OidcButton: FC<{ readonly name: string; readonly next: string }> = ({ name, next }) => (
  <>
    <form method="post" action={OIDC_PATH} class="stack">
      <input type="hidden" name="next" value={next} />
      <button class="button button-primary" type="submit">
        Sign in with {name}
      </button>
    </form>
    <p class="separator">or</p>
  </>
);
