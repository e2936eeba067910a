/** Where the web pages are. Implemented by the composition: a server, or a listener that starts when a page is needed. */
export interface Pages {
  /** Base URL of the pages, such as http://127.0.0.1:8787, without a trailing slash; starts a server if none runs. */
  baseUrl(): Promise<string>;
}

/** The page on which a person decides on an approval. */
export function approvalUrl(base_url: string, id: string): string {
  return `${base_url}/dashboard/approvals/${id}`;
}

/** The page on which a person enters the values of a handle. */
export function handleUrl(base_url: string, handle: string): string {
  return `${base_url}/dashboard/enter/${handle}`;
}
