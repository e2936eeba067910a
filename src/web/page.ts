/**
 * How a page is made. A module in `src/web/pages` exports one `Page`, which `src/web/pages.ts` lists:
 *
 *     export const stackPages = definePage({
 *       register(app, { vault }) {
 *         app.get('/dashboard/stacks', async (c) => {
 *           const stacks = await vault.stacks.list(c.var.caller);
 *           return showPage(c, { title: 'Stacks', section: 'stacks' }, <Stacks stacks={stacks} csrf={c.var.csrf} />);
 *         });
 *         app.post('/dashboard/stacks', async (c) => {
 *           await vault.stacks.create(c.var.caller, { name: textOf(c.var.form, 'name') });
 *           return redirectTo(c, '/dashboard/stacks', { kind: 'success', text: 'The stack was created.' });
 *         });
 *       },
 *     });
 *
 * Before a route runs, the person is signed in (else the browser goes to the sign-in page), and for a POST the Origin and
 * the CSRF token were checked and the fields parsed. So a page changes something only in `app.post`, every HTML form is a
 * `PostForm` with `c.var.csrf`, and a POST ends with `redirectTo`. A VaultError that a route throws becomes an error page.
 * Paths in links and redirects begin with `/dashboard`, also if the public URL has a path. No inline style, no inline script.
 */
import type { Context, Hono } from 'hono';
import type { Caller } from '../contract/caller.ts';
import type { HttpDependencies } from '../http/dialect.ts';
import type { MountContext } from '../http/mount.ts';
import type { WebSession } from '../vault/people/web_sessions.ts';
import type { Assets } from './browser_files.ts';

/** The entries of the navigation. */
export type Section = 'services' | 'approvals' | 'stacks' | 'keys' | 'audit';

/** A message that the page after a redirect shows. */
export interface FlashMessage {
  readonly kind: 'success' | 'notice' | 'error';
  readonly text: string;
}

/** What the layout shows around every page. */
export interface View {
  readonly assets: Assets;
  /** `undefined` on a page without sign-in. */
  readonly session: WebSession | undefined;
  readonly messages: readonly FlashMessage[];
  /** The sections that have a page. */
  readonly sections: readonly Section[];
  /** The path of the public URL, which a proxy removes: without a slash at the end, mostly empty. */
  readonly path_prefix: string;
}

interface PageVariables {
  readonly view: View;
  /** The fields of the HTML form that was sent; empty for a GET. */
  readonly form: FormData;
}

export interface WebBindings {
  readonly mount: MountContext;
}

/** Of a page without sign-in. */
export interface OpenPageEnv {
  Bindings: WebBindings;
  Variables: PageVariables;
}

export interface PageEnv {
  Bindings: WebBindings;
  Variables: PageVariables & {
    readonly session: WebSession;
    readonly caller: Caller;
    /** For `PostForm`. */
    readonly csrf: string;
    /** Adds a message for the next page. */
    readonly setFlash: (message: FlashMessage) => void;
  };
}

export type PageContext = Context<PageEnv>;
export type AnyPageContext = Context<PageEnv> | Context<OpenPageEnv>;

export interface PageParts extends HttpDependencies {
  /** Where providers send the browser back to. */
  readonly callback_url: string;
  /** Makes sure that a server listens there. Rejects with UNAVAILABLE if another program has the port. */
  readonly listenForCallback: () => Promise<void>;
}

/** A page for people who are signed in. */
export interface Page {
  readonly register: (app: Hono<PageEnv>, parts: PageParts) => void;
}

export function definePage(page: Page): Page {
  return page;
}

/** The text of a field, without blanks around it; empty if it is missing or a file. */
export function textOf(form: FormData, name: string): string {
  const value = form.get(name);
  return typeof value === 'string' ? value.trim() : '';
}
