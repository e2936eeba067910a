/** The responses of pages: a page in the layout, and a redirect with a message. */
import type { Child } from 'hono/jsx';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { Document } from './layout/document.tsx';
import type { AnyPageContext, FlashMessage, PageContext, Section, View } from './page.ts';

export interface PageOptions {
  readonly title: string;
  /** The entry of the navigation that the page belongs to. */
  readonly section?: Section;
  readonly status?: ContentfulStatusCode;
}

/** Shows a page in the layout. */
export function showPage(c: AnyPageContext, options: PageOptions, content: Child): Response {
  return c.html(renderPage(c.var.view, options, content), options.status ?? 200);
}

/** Goes to another page after a POST, which shows the message. */
export function redirectTo(c: PageContext, path: string, message?: FlashMessage): Response {
  if (message !== undefined) c.var.setFlash(message);
  return c.redirect(path, 303);
}

export function renderPage(view: View, options: Omit<PageOptions, 'status'>, content: Child): string {
  const html = `<!doctype html>${(
    <Document view={view} title={options.title} section={options.section}>
      {content}
    </Document>
  )}`;
  if (view.path_prefix === '') return html;
  // A quotation mark in a text is escaped, so that only attributes match.
  return html.replaceAll(/ (href|action|formaction|src)="\/dashboard/g, ` $1="${view.path_prefix}/dashboard`);
}
