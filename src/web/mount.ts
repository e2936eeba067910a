/** The pages as a mount of the HTTP server, and the redirect of `/` to them. */

import type { Hono } from 'hono';
import { ERROR_TABLE, type PublicError } from '../contract/errors.ts';
import { TICKET_PATH } from '../contract/pages.ts';
import type { PipelineEnv } from '../http/context.ts';
import type { HttpDependencies } from '../http/dialect.ts';
import type { OpenMount } from '../http/mount.ts';
import { createWebApp, HTML, PAGE_HEADERS, type WebOptions } from './app.ts';
import { errorContent, errorTitle } from './layout/error_page.tsx';
import { renderPage } from './respond.tsx';

const CONTENT_TYPES = ['application/x-www-form-urlencoded', 'multipart/form-data'];

/** Rejects with UNAVAILABLE if the stylesheet or the script is missing. */
export async function webMount(parts: HttpDependencies, options: WebOptions): Promise<OpenMount> {
  const { app, view } = await createWebApp(parts, options);
  const error = (found: PublicError, status = ERROR_TABLE[found.code].http_status) => ({
    status,
    body: renderPage(view, { title: errorTitle(found) }, errorContent(found, view)),
    headers: { 'Content-Type': HTML, ...Object.fromEntries(PAGE_HEADERS) },
  });
  return {
    name: 'web',
    path: '/dashboard/*',
    edge: 'web',
    access: 'open',
    content_types: CONTENT_TYPES,
    null_origin_path: TICKET_PATH,
    error,
    unreadable: ({ request_id }) =>
      error({
        code: 'INVALID_INPUT',
        message: 'A field or a file is not text. Keyhold stores text, such as a key in PEM format.',
        ...(request_id === undefined ? {} : { request_id }),
      }),
    handler: async (request, mount) => app.fetch(request, { mount }),
  };
}

/** `GET /` goes to the pages. */
export function addHome(app: Hono<PipelineEnv>): void {
  // Relative, for proxies with a path prefix.
  app.get('/', (c) => c.redirect('./dashboard', 303));
}
