/** Signing in and out. A sign-in always makes a new session, and ends the one that the browser had. */

import type { Context, Hono } from 'hono';
import type { FC } from 'hono/jsx';
import { VaultError } from '../../contract/errors.ts';
import { TICKET_PATH } from '../../contract/pages.ts';
import { RateLimiter, type RateLimits } from '../../http/auth/rate_limits.ts';
import { isLoopbackHost } from '../../io/server_url.ts';
import { Button, Code, Field } from '../layout/components.tsx';
import { BrandMark } from '../layout/icons.tsx';
import { type OpenPageEnv, type PageParts, textOf } from '../page.ts';
import { showPage } from '../respond.tsx';
import type { PageCookies } from './cookies.ts';
import { assertCsrfToken, assertPrivateConnection, safeNextPath } from './request_checks.ts';

const TITLE = 'Sign in';

export function addSignIn(
  app: Hono<OpenPageEnv>,
  { vault, public_url }: PageParts,
  cookies: PageCookies,
  limits: Pick<RateLimits, 'auth_failures_per_minute'>,
): void {
  const failures = new RateLimiter(limits.auth_failures_per_minute, 'Too many failed sign-ins.');
  const is_local = isLoopbackHost(new URL(public_url).hostname);

  const replaceSession = async (c: Context<OpenPageEnv>, token: string) => {
    const former = cookies.sessionToken(c);
    const session = former && (await vault.web_sessions.find(former, c.env.mount.request_id));
    if (session) await vault.web_sessions.end(session);
    cookies.setSession(c, token);
  };

  app.get('/dashboard/sign-in', async (c) => {
    assertPrivateConnection(c.req.raw.headers, public_url);
    const next = safeNextPath(c.req.query('next'));
    const token = cookies.sessionToken(c);
    if (token === undefined) return showPage(c, { title: TITLE }, <SignIn next={next} is_local={is_local} />);
    if (await vault.web_sessions.find(token, c.env.mount.request_id)) return c.redirect(next, 303);
    cookies.clearSession(c);
    return showPage(c, { title: TITLE }, <SignIn next={next} is_local={is_local} has_ended />);
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
      return showPage(c, options, <SignIn next={next} is_local={is_local} problem={problem} />);
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
    return c.redirect('/dashboard', 303);
  });

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
  readonly problem?: string;
  readonly has_ended?: boolean;
}> = ({ next, is_local, problem, has_ended = false }) => (
  <div class="sign-in">
    <BrandMark />
    <h1>Sign in to Keyhold</h1>
    {has_ended && (
      <p class="message message-notice" role="status">
        You were signed out, because the session has ended or its API key was changed.
      </p>
    )}
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
        autofocus
      />
      <Button>Sign in</Button>
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
