/** A listener on loopback that serves some of the pages without a sign-in. */
import { VaultError } from '../../contract/errors.ts';
import { AUTH_FAILURES_PER_MINUTE, REQUESTS_PER_MINUTE } from '../../contract/limits.ts';
import { callbackUrl } from '../../contract/pages.ts';
import { createHttpApp } from '../../http/app.ts';
import type { HttpDependencies } from '../../http/dialect.ts';
import { type Listener, openListener } from '../../http/server/listener.ts';
import type { LocalPageOptions } from '../../web/app.ts';
import { webMount } from '../../web/mount.ts';

const LOOPBACK = '127.0.0.1';
export const CSRF_TOKEN_BYTES = 32;

export interface LoopbackPageOptions extends Omit<LocalPageOptions, 'callback_url'> {
  /** 0: any free port. */
  readonly port: number;
  /** Of the redirect URI. */
  readonly callback_port: number;
  /** Other paths do not exist. */
  readonly served_paths: RegExp;
}

/** Rejects with UNAVAILABLE if another program listens on the port. */
export async function openLoopbackPages(
  dependencies: Omit<HttpDependencies, 'public_url'>,
  { port, callback_port, served_paths, ...local }: LoopbackPageOptions,
): Promise<Listener> {
  const listener = await listen(port, dependencies.log);
  try {
    const parts = { ...dependencies, public_url: listener.url };
    const limits = {
      requests_per_minute: REQUESTS_PER_MINUTE,
      auth_failures_per_minute: AUTH_FAILURES_PER_MINUTE,
    };
    const callback_url = callbackUrl(`http://${LOOPBACK}:${callback_port}`);
    const mount = await webMount(parts, { ...limits, local: { ...local, callback_url } });
    const http_app = await createHttpApp(parts, [], [mount], { limits });
    listener.serve(async (request, env) =>
      served_paths.test(new URL(request.url).pathname) ? http_app.fetch(request, env) : notFound(),
    );
    return listener;
  } catch (error) {
    await listener.close(0);
    throw error;
  }
}

async function listen(port: number, log: HttpDependencies['log']): Promise<Listener> {
  try {
    return await openListener({ host: LOOPBACK, port, behind_proxy: false, log });
  } catch (cause) {
    if (port === 0 || !(cause instanceof VaultError && cause.code === 'UNAVAILABLE')) throw cause;
    const message = `Port ${port} cannot be listened on, and the provider sends the browser back to it: another program may use it. Stop that program, or set KEYHOLD_PORT to another port and register the redirect URI with it.`;
    throw new VaultError('UNAVAILABLE', message, { cause });
  }
}

function notFound(): Response {
  return new Response('There is no page at this address.\n', {
    status: 404,
    headers: { 'Content-Type': 'text/plain; charset=utf-8' },
  });
}
