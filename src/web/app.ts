/**
 * The pages as one Hono app. Every request passes, in this order: the session of its cookie, the rate limit, and for a POST the
 * Origin, the fields and the CSRF token. Only the sign-in page and the assets work without a session.
 */

import { Hono } from 'hono';
import { createMiddleware } from 'hono/factory';
import type { Caller } from '../contract/caller.ts';
import { ERROR_TABLE, toPublicError, VaultError } from '../contract/errors.ts';
import { describeFailure } from '../contract/logger.ts';
import { CALLBACK_PATH, callbackUrl, TICKET_PATH } from '../contract/pages.ts';
import { RateLimiter, type RateLimits } from '../http/auth/rate_limits.ts';
import type { HttpDependencies } from '../http/dialect.ts';
import { HttpError } from '../http/error_response.ts';
import type { OidcClient } from '../oauth/oidc_client.ts';
import { type Assets, loadAssets } from './browser_files.ts';
import { sectionsOf } from './layout/document.tsx';
import { errorContent, errorTitle } from './layout/error_page.tsx';
import type { OpenPageEnv, PageEnv, PageParts, View } from './page.ts';
import { callbackPages } from './pages/connect/callback.tsx';
import { enterPages } from './pages/enter/enter.tsx';
import { PAGES } from './pages.ts';
import { renderPage } from './respond.tsx';
import { PageCookies } from './session/cookies.ts';
import { type FindSession, sessionFinder } from './session/current_session.ts';
import { assertCsrfToken, assertSameOrigin } from './session/request_checks.ts';
import { addSignIn, addSignOut } from './session/sign_in.tsx';

export interface WebOptions extends RateLimits {
  readonly local?: LocalPageOptions | undefined;
  /** People sign in with its provider too. */
  readonly oidc?: OidcClient | undefined;
}

/**
 * Serves only the pages of handles and of callbacks, without a sign-in: for listeners on loopback. The handle in the URL is the
 * permission, and the code on the page shows a person whose request it is; a callback has the state of RFC 6749.
 */
export interface LocalPageOptions {
  readonly caller: (request_id: string) => Caller;
  /** There is no session: a random token of the process. */
  readonly csrf_token: string;
  readonly callback_url: string;
  readonly listenForCallback: () => Promise<void>;
}

export interface WebApp {
  readonly app: Hono<OpenPageEnv>;
  /** For pages outside of a request to the app. */
  readonly view: View;
}

export async function createWebApp(dependencies: HttpDependencies, options: WebOptions): Promise<WebApp> {
  const { local } = options;
  const parts: PageParts = {
    ...dependencies,
    callback_url: local?.callback_url ?? callbackUrl(dependencies.public_url),
    listenForCallback: local?.listenForCallback ?? (async () => undefined),
  };
  const assets = await loadAssets();
  const path_prefix = new URL(parts.public_url).pathname.replace(/\/+$/, '');
  const cookies = new PageCookies(parts.public_url);
  const pages = new Hono<PageEnv>();
  const { oidc } = options;
  const findSession = sessionFinder(parts.vault, cookies, oidc?.provider);
  pages.use(
    local === undefined
      ? requireSession(parts.vault, findSession, cookies, options)
      : useLocalCaller(local, cookies, options),
  );
  for (const { register } of local === undefined ? PAGES : LOCAL_PAGES) register(pages, parts);
  const paths = new Set(pages.routes.filter(({ method }) => method === 'GET').map(({ path }) => path));
  const view: View = {
    assets,
    session: undefined,
    messages: [],
    sections: sectionsOf(paths),
    path_prefix,
  };
  const app = new Hono<OpenPageEnv>();
  app.use(async (c, next) => {
    c.set('view', view);
    await next();
    for (const [name, value] of PAGE_HEADERS) if (!c.res.headers.has(name)) c.res.headers.set(name, value);
    const location = c.res.headers.get('location');
    if (location?.startsWith('/')) c.res.headers.set('location', path_prefix + location);
  });
  addAssets(app, assets);
  app.use(checkPost(parts.public_url));
  if (local === undefined) {
    addSignIn(app, parts, { cookies, findSession, limits: options, oidc });
    addSignOut(app, parts, cookies);
  }
  app.route('/', pages);
  app.notFound(() => {
    throw new VaultError('NOT_FOUND', 'There is no page at this address.');
  });
  app.onError((error, c) => {
    const public_error = toPublicError(error, c.env.mount.request_id);
    const { code } = public_error;
    if (ERROR_TABLE[code].is_server_failure) {
      const fields = { request_id: public_error.request_id, code, failure: describeFailure(error) };
      parts.log.error(fields, 'request failed');
      c.env.mount.countError(code);
    }
    const status = error instanceof HttpError ? error.http_status : ERROR_TABLE[code].http_status;
    const html = renderPage(
      c.var.view ?? view,
      { title: errorTitle(public_error) },
      errorContent(public_error, c.var.view ?? view),
    );
    const headers = {
      ...Object.fromEntries(PAGE_HEADERS),
      ...(error instanceof HttpError ? error.headers : {}),
    };
    return new Response(html, { status, headers: { 'Content-Type': HTML, ...headers } });
  });
  return { app, view };
}

const LOCAL_PAGES = [enterPages, callbackPages];
export const HTML = 'text/html; charset=utf-8';

/** Cache-Control and others are set by the server. Firefox and Chromium send Origin with this Referrer-Policy, and not with `no-referrer`. */
export const PAGE_HEADERS: readonly (readonly [name: string, value: string])[] = [
  [
    'Content-Security-Policy',
    [
      "default-src 'none'",
      "style-src 'self'",
      "script-src 'self'",
      "img-src 'self' data:",
      "connect-src 'self'",
      "form-action 'self'",
      "frame-ancestors 'none'",
      "base-uri 'none'",
    ].join('; '),
  ],
  ['Cross-Origin-Opener-Policy', 'same-origin'],
  ['Referrer-Policy', 'same-origin'],
  ['Permissions-Policy', 'camera=(), geolocation=(), microphone=()'],
];

function addAssets(app: Hono<OpenPageEnv>, assets: Assets): void {
  for (const { path, type, content, cache_control } of Object.values(assets))
    app.get(path, (c) => c.body(content, 200, { 'Content-Type': type, 'Cache-Control': cache_control }));
}

/** Checks where a POST comes from and parses its fields. */
function checkPost(public_url: string) {
  const { origin, protocol } = new URL(public_url);
  return createMiddleware<OpenPageEnv>(async (c, next) => {
    const is_post = c.req.method === 'POST';
    if (!is_post && c.req.method !== 'GET' && c.req.method !== 'HEAD')
      throw new HttpError(405, 'INVALID_INPUT', 'Pages take GET and POST only.', { Allow: 'GET, POST' });
    // The ticket is its own proof: another site cannot know it.
    if (is_post && !(c.req.path === TICKET_PATH && c.req.header('origin') === 'null'))
      assertSameOrigin(c.req.raw.headers, [origin, `${protocol}//${c.req.header('host')?.toLowerCase()}`]);
    c.set('form', is_post ? await parseForm(c.env.mount.body, c.req.header('content-type')) : new FormData());
    await next();
  });
}

/** Rejects with INVALID_INPUT for a body that is not an HTML form. */
async function parseForm(body: string | undefined, type: string | undefined): Promise<FormData> {
  if (body === undefined || type === undefined) return new FormData();
  try {
    return await new Response(body, { headers: { 'content-type': type } }).formData();
  } catch {
    throw new VaultError('INVALID_INPUT', 'The fields of the page cannot be read. Open it again.');
  }
}

function useLocalCaller({ caller, csrf_token }: LocalPageOptions, cookies: PageCookies, limits: WebOptions) {
  const requests = new RateLimiter(limits.requests_per_minute, 'Too many requests.');
  return createMiddleware<PageEnv>(async (c, next) => {
    requests.count(c.env.mount.address());
    if (c.req.method === 'POST') assertCsrfToken(c.var.form, csrf_token);
    else c.set('view', { ...c.var.view, messages: cookies.takeFlash(c, csrf_token) });
    c.set('caller', caller(c.env.mount.request_id));
    c.set('csrf', csrf_token);
    c.set('setFlash', (message) => cookies.setFlash(c, csrf_token, message));
    await next();
  });
}

/** Finds the session of the cookie. Without one, the browser goes to the sign-in page. */
function requireSession(
  { nodes }: Pick<PageParts['vault'], 'nodes'>,
  findSession: FindSession,
  cookies: PageCookies,
  limits: WebOptions,
) {
  const requests = new RateLimiter(limits.requests_per_minute, 'Too many requests of this session.', [
    nodes,
    'session_requests',
  ]);
  return createMiddleware<PageEnv>(async (c, next) => {
    const found = await findSession(c);
    if (found === undefined) {
      const { pathname, search } = new URL(c.req.url);
      // The code and the state of a callback are not put into another address.
      const has_next = c.req.method !== 'POST' && pathname !== '/dashboard' && pathname !== CALLBACK_PATH;
      const query = has_next ? `?next=${encodeURIComponent(pathname + search)}` : '';
      return c.redirect(`/dashboard/sign-in${query}`, 303);
    }
    const { token, session } = found;
    c.set('view', { ...c.var.view, session });
    requests.count(session.id);
    if (c.req.method === 'POST') assertCsrfToken(c.var.form, session.csrf_token);
    else c.set('view', { ...c.var.view, session, messages: cookies.takeFlash(c, token) });
    c.set('session', session);
    c.set('caller', session.caller);
    c.set('csrf', session.csrf_token);
    c.set('setFlash', (message) => cookies.setFlash(c, token, message));
    await next();
    return undefined;
  });
}
