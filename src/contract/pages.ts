/** Where the web pages are. Implemented by the composition: a server, or a listener that starts when a page is needed. */
export interface Pages {
  /** Base URL of the page for handles, such as http://127.0.0.1:8787, without a trailing slash; starts a listener if no server runs. */
  baseUrl(): Promise<string>;
  /** Base URL of all pages; `undefined` if no server runs. */
  dashboardUrl(): Promise<string | undefined>;
}

/** Where the file that `keyhold open` makes sends its ticket: the only path that takes a POST of a local file. */
export const TICKET_PATH = '/dashboard/sign-in/ticket';

/** The page on which a person decides on an approval. */
export function approvalUrl(base_url: string, id: string): string {
  return `${base_url}/dashboard/approvals/${id}`;
}

/** The page on which a person enters the values of a handle. */
export function handleUrl(base_url: string, handle: string): string {
  return `${base_url}/dashboard/enter/${handle}`;
}
