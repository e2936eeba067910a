/** Signing in and out. A sign-in always makes a new session, and ends the one that the browser had. */

import type { Context, Hono } from 'hono';
import type { FC } from 'hono/jsx';
import type { IdentityProvider } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { TICKET_PATH } from '../../contract/pages.ts';
import { RateLimiter, type RateLimits } from '../../http/auth/rate_limits.ts';
import { isLoopbackHost } from '../../io/server_url.ts';
import type { OidcClient } from '../../oauth/oidc_client.ts';
import { Button, Code, Field } from '../layout/components.tsx';
import { BrandMark } from '../layout/icons.tsx';
import { type OpenPageEnv, type PageParts, textOf } from '../page.ts';
import { showPage } from '../respond.tsx';
import type { PageCookies } from './cookies.ts';
import type { FindSession } from './current_session.ts';
import { addOidcSignIn, OidcButton, problemMessage } from './oidc_sign_in.tsx';
import { assertCsrfToken, assertPrivateConnection, safeNextPath } from './request_checks.ts';

const TITLE = 'Sign in';
const ENDED = 'You were signed out, because the session has ended or its API key was changed.';

export interface SignInOptions {
  readonly cookies: PageCookies;
  readonly findSession: FindSession;
  readonly limits: RateLimits;
  readonly oidc: OidcClient | undefined;
}

export function addSignIn(
  app: Hono<OpenPageEnv>,
  parts: PageParts,
  { cookies, findSession, limits, oidc }: SignInOptions,
): void {
  const { vault, public_url } = parts;
  const failures = new RateLimiter(limits.auth_failures_per_minute, 'Too many failed sign-ins.', [
    vault.nodes,
    'failed_sign_ins',
  ]);
  const is_local = isLoopbackHost(new URL(public_url).hostname);
  const shared = { is_local, provider: oidc?.provider };

  const replaceSession = async (c: Context<OpenPageEnv>, token: string) => {
    const former = cookies.sessionToken(c);
    const session = former && (await vault.web_sessions.find(former, c.env.mount.request_id));
    if (session) await vault.web_sessions.end(session);
    cookies.setSession(c, token);
  };

  app.get('/dashboard/sign-in', async (c) => {
    assertPrivateConnection(c.req.raw.headers, public_url);
    const next = safeNextPath(c.req.query('next'));
    const problem = problemMessage(c.req.query('problem'));
    if (await findSession(c)) return c.redirect(next, 303);
    const has_ended = cookies.sessionToken(c) !== undefined;
    if (has_ended) cookies.clearSession(c);
    const notice = problem ?? (has_ended ? ENDED : undefined);
    return showPage(c, { title: TITLE }, <SignIn next={next} notice={notice} {...shared} />);
  });

  app.post('/dashboard/sign-in', async (c) => {
    assertPrivateConnection(c.req.raw.headers, public_url);
    const { request_id, address } = c.env.mount;
    const next = safeNextPath(textOf(c.var.form, 'next'));
    try {
      const { token } = await vault.web_sessions.signInWithKey(textOf(c.var.form, 'api_key'), request_id);
      await replaceSession(c, token);
      return c.redirect(next, 303);
    } catch (error) {
      if (!(error instanceof VaultError && error.code === 'UNAUTHENTICATED')) throw error;
      failures.count(address());
      const problem = 'This is not a valid API key. Check that it is complete and was not revoked.';
      const options = { title: TITLE, status: 401 } as const;
      return showPage(c, options, <SignIn next={next} problem={problem} {...shared} />);
    }
  });

  app.post(TICKET_PATH, async (c) => {
    assertPrivateConnection(c.req.raw.headers, public_url);
    const { request_id, address } = c.env.mount;
    try {
      const { token } = await vault.web_sessions.signInWithTicket(textOf(c.var.form, 'ticket'), request_id);
      await replaceSession(c, token);
    } catch (error) {
      if (error instanceof VaultError && error.code === 'UNAUTHENTICATED') failures.count(address());
      throw error;
    }
    return c.redirect(safeNextPath(textOf(c.var.form, 'next')), 303);
  });

  if (oidc !== undefined) {
    const countFailure = (address: string) => failures.count(address);
    addOidcSignIn(app, parts, { oidc, cookies, limits, countFailure, replaceSession });
  }
}

export function addSignOut(app: Hono<OpenPageEnv>, { vault }: PageParts, cookies: PageCookies): void {
  app.post('/dashboard/sign-out', async (c) => {
    const token = cookies.sessionToken(c);
    const session = token && (await vault.web_sessions.find(token, c.env.mount.request_id));
    if (session) {
      assertCsrfToken(c.var.form, session.csrf_token);
      await vault.web_sessions.end(session);
    }
    cookies.clearSession(c);
    return c.redirect('/dashboard/sign-in', 303);
  });
}

const SignIn: FC<{
  readonly next: string;
  readonly is_local: boolean;
  readonly provider: IdentityProvider | undefined;
  /** Why the API key was not accepted. */
  readonly problem?: string;
  readonly notice?: string | undefined;
}> = ({ next, is_local, provider, problem, notice }) => (
  <div class="sign-in">
    <BrandMark />
    <h1>Sign in to Keyhold</h1>
    {notice && (
      <p class="message message-notice" role="status">
        {notice}
      </p>
    )}
    {provider && <OidcButton name={provider.name} next={next} />}
    <form method="post" action="/dashboard/sign-in" class="stack">
      <input type="hidden" name="next" value={next} />
      <Field
        name="api_key"
        label="API key"
        type="password"
        autocomplete="current-password"
        placeholder="kh_…"
        error={problem}
        required
        reveal
        autofocus={provider === undefined}
      />
      <Button kind={provider === undefined ? 'primary' : 'secondary'}>
        Sign in{provider && ' with a key'}
      </Button>
    </form>
    <p class="muted small">
      {is_local ? (
        <>
          On the machine of the vault, <Code text="keyhold open" /> signs you in without a key.
        </>
      ) : (
        <>
          An administrator makes a key with <Code text="keyhold keys create" />
        </>
      )}
    </p>
  </div>
);
