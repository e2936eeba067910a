/** Where the web pages are. Implemented by the composition: a server, or a listener that starts when a page is needed. */
export interface Pages {
  /** Base URL of the page for handles, such as http://127.0.0.1:8787, without a trailing slash; starts a listener if no server runs. */
  baseUrl(): Promise<string>;
  /** Base URL of all pages; `undefined` if no server runs. */
  dashboardUrl(): Promise<string | undefined>;
}

/** Where the file that `keyhold open` makes sends its ticket: the only path that takes a POST of a local file. */
export const TICKET_PATH = '/dashboard/sign-in/ticket';

/** Where a provider sends the browser back to after a person has permitted or declined a connection. */
export const CALLBACK_PATH = '/dashboard/oauth/callback';

/** The page on which a person decides on an approval. */
export function approvalUrl(base_url: string, id: string): string {
  return `${base_url}/dashboard/approvals/${id}`;
}

/** The list of what waits for a person. */
export function approvalsUrl(base_url: string): string {
  return `${base_url}/dashboard/approvals`;
}

/** The page on which a person enters the values of a handle. */
export function handleUrl(base_url: string, handle: string): string {
  return `${base_url}/dashboard/enter/${handle}`;
}

/** The page that connects a service with OAuth. */
export function connectUrl(
  base_url: string,
  {
    service_id,
    stack_id,
    name,
  }: { service_id: string; stack_id?: string | undefined; name?: string | null | undefined },
): string {
  const query = new URLSearchParams({
    ...(stack_id === undefined ? {} : { stack: stack_id }),
    ...(name === undefined || name === null ? {} : { name }),
  });
  const text = query.size === 0 ? '' : `?${query}`;
  return `${base_url}/dashboard/connect/${encodeURIComponent(service_id)}${text}`;
}

/** The redirect URI (RFC 6749, section 3.1.2) of all connections: registered at each provider. */
export function callbackUrl(base_url: string): string {
  return base_url + CALLBACK_PATH;
}
