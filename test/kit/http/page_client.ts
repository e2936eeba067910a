/** A browser without scripts: keeps cookies, sends HTML forms with Origin and the CSRF token of the page, follows nothing. */
import type { CreateKeyInput } from '../../../src/contract/api_key.ts';
import type { OidcClient } from '../../../src/oauth/oidc_client.ts';
import { addHome, webMount } from '../../../src/web/mount.ts';
import { type HttpServerOptions, startHttpServer, type TestHttpServer } from './http_server.ts';

export interface PageResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly location: string | null;
}

export class PageClient {
  readonly url: string;
  readonly cookies = new Map<string, string>();
  /** Of the last page that had one. */
  csrf_token: string | undefined;
  /** Sent with every request, such as the headers of a proxy. */
  headers: Readonly<Record<string, string>> = {};

  constructor(url: string) {
    this.url = url;
  }

  get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<PageResponse> {
    return this.send(path, { headers });
  }

  /** Sends fields with the CSRF token; `headers` replace those of a browser. */
  post(
    path: string,
    fields: Readonly<Record<string, string>> = {},
    headers: Readonly<Record<string, string>> = {},
  ): Promise<PageResponse> {
    const csrf = this.csrf_token === undefined ? {} : { csrf_token: this.csrf_token };
    const body = new URLSearchParams({ ...csrf, ...fields });
    const sent = { origin: this.url, 'sec-fetch-site': 'same-origin', ...headers };
    const kept = Object.fromEntries(Object.entries(sent).filter(([, value]) => value !== ''));
    return this.send(path, { method: 'POST', body, headers: kept });
  }

  async send(path: string, init: RequestInit = {}): Promise<PageResponse> {
    const headers = new Headers({ ...this.headers, ...(init.headers as Record<string, string>) });
    if (this.cookies.size > 0)
      headers.set('cookie', [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; '));
    const response = await fetch(this.url + path, { redirect: 'manual', ...init, headers });
    for (const line of response.headers.getSetCookie()) this.#keep(line);
    const text = await response.text();
    this.csrf_token = /name="csrf_token" value="([\w-]+)"/.exec(text)?.[1] ?? this.csrf_token;
    return {
      status: response.status,
      headers: response.headers,
      text,
      location: response.headers.get('location'),
    };
  }

  /** Signs in with an API key and opens the first page. */
  async signIn(key: string): Promise<this> {
    const signed_in = await this.post('/dashboard/sign-in', { api_key: key });
    if (signed_in.status !== 303) throw new Error(`the sign-in failed: ${signed_in.status}`);
    await this.get('/dashboard');
    return this;
  }

  #keep(line: string): void {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    if (/; Max-Age=0\b/.test(line)) this.cookies.delete(name);
    else this.cookies.set(name, value);
  }
}

export interface PageServer extends TestHttpServer {
  /** A browser that is not signed in. */
  browser(): PageClient;
  /** A browser that is signed in with a new API key. */
  signedIn(options?: CreateKeyInput): Promise<PageClient>;
}

/** Starts a server with the pages, and stops it when the test ends. */
export async function startPages(
  options: HttpServerOptions & { readonly oidc?: OidcClient } = {},
): Promise<PageServer> {
  const limits = { requests_per_minute: 0, auth_failures_per_minute: 0, ...options.settings?.limits };
  const server = await startHttpServer({
    ...options,
    mounts: async (parts) => [await webMount(parts, { ...limits, oidc: options.oidc })],
    settings: { open_routes: [addHome], ...options.settings, limits },
  });
  const browser = () => new PageClient(server.url);
  return {
    ...server,
    browser,
    signedIn: async (input) => browser().signIn(await server.key(input)),
  };
}
