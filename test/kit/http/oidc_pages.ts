/** A server with the pages, and a provider with which people sign in to them. */
import { onTestFinished } from 'vitest';
import type { IdentityProvider } from '../../../src/contract/caller.ts';
import { AllowList } from '../../../src/egress/allow_list.ts';
import { Egress } from '../../../src/egress/egress.ts';
import { OidcClient } from '../../../src/oauth/oidc_client.ts';
import {
  type SignInProvider,
  type SignInProviderOptions,
  startSignInProvider,
} from '../servers/sign_in_provider.ts';
import type { HttpServerOptions } from './http_server.ts';
import { type PageClient, type PageResponse, type PageServer, startPages } from './page_client.ts';

export const OIDC_PATH = '/dashboard/sign-in/oidc';

export interface OidcPages {
  readonly provider: SignInProvider;
  readonly server: PageServer;
  /** Presses the button; returns the URL at the provider. */
  start(browser: PageClient, next?: string): Promise<string>;
  /** Completes a sign-in; returns the response to the callback. */
  signIn(browser: PageClient, subject?: string, next?: string): Promise<PageResponse>;
}

export interface OidcPagesOptions extends SignInProviderOptions {
  readonly provider?: SignInProvider;
  readonly settings?: Partial<IdentityProvider>;
  readonly server?: HttpServerOptions;
  /** Default: true. */
  readonly has_organization?: boolean;
}

/** Everything stops when the test ends. */
export async function startOidcPages(options: OidcPagesOptions = {}): Promise<OidcPages> {
  const provider = options.provider ?? (await startSignInProvider(options));
  const egress = new Egress({ allow: AllowList.all() });
  onTestFinished(() => egress.close());
  const oidc = new OidcClient({ ...provider.settings, ...options.settings }, egress);
  const server = await startPages({ ...options.server, oidc });
  if (options.has_organization ?? true) await server.key({ organization: 'acme', user: 'boss' });
  const start = async (browser: PageClient, next = '/dashboard') => {
    const { headers } = await browser.post(OIDC_PATH, { next });
    return /^0; url=(.+)$/.exec(headers.get('refresh') ?? '')?.[1] ?? '';
  };
  return {
    provider,
    server,
    start,
    async signIn(browser, subject, next) {
      const { pathname, search } = await provider.approve(await start(browser, next), subject);
      return browser.get(pathname + search);
    },
  };
}
