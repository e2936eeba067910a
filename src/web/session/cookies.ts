/**
 * The cookies of the pages: the token of the session, a sign-in that waits for its callback, which is encrypted, and messages
 * for the next page, which are authenticated with a key that is derived from the token. All are for `/dashboard` only and no script can
 * read them.
 */
import { createHmac, hash } from 'node:crypto';
import type { Context } from 'hono';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import * as z from 'zod';
import {
  FLASH_MESSAGE_MAX_CHARACTERS,
  SIGN_IN_ATTEMPT_AGE_MS,
  WEB_SESSION_AGE_MS,
} from '../../contract/limits.ts';
import type { FlashMessage } from '../page.ts';
import { isSameText } from './request_checks.ts';

const SESSION_NAME = 'keyhold_session';
const ATTEMPT_NAME = 'keyhold_sign_in';
const FLASH_NAME = 'keyhold_flash';
const FLASH_AGE_SECONDS = 60;

const FlashMessages = z.array(
  z.object({
    kind: z.enum(['success', 'notice', 'error']),
    text: z.string().max(FLASH_MESSAGE_MAX_CHARACTERS),
  }),
);

export class PageCookies {
  readonly #is_https: boolean;
  readonly #path: string;

  /** `public_url`: decides whether the cookies are sent over https only, and their path. */
  constructor(public_url: string) {
    const { protocol, pathname } = new URL(public_url);
    this.#is_https = protocol === 'https:';
    this.#path = `${pathname.replace(/\/+$/, '')}/dashboard`;
  }

  /** The token that the browser has; `undefined` without one. */
  sessionToken(c: Context): string | undefined {
    return getCookie(c, this.#name(SESSION_NAME)) || undefined;
  }

  setSession(c: Context, token: string): void {
    setCookie(c, this.#name(SESSION_NAME), token, { ...this.#options, maxAge: WEB_SESSION_AGE_MS / 1000 });
  }

  clearSession(c: Context): void {
    deleteCookie(c, this.#name(SESSION_NAME), this.#options);
    deleteCookie(c, this.#name(FLASH_NAME), this.#options);
  }

  setAttempt(c: Context, sealed: string): void {
    const options = { ...this.#options, maxAge: SIGN_IN_ATTEMPT_AGE_MS / 1000 };
    setCookie(c, this.#name(ATTEMPT_NAME), sealed, options);
  }

  /** The sign-in that waits for its callback, once. */
  takeAttempt(c: Context): string | undefined {
    return deleteCookie(c, this.#name(ATTEMPT_NAME), this.#options) || undefined;
  }

  /** Adds a message for the next page of the session with this token. */
  setFlash(c: Context, token: string, { kind, text }: FlashMessage): void {
    const content = JSON.stringify([{ kind, text: text.slice(0, FLASH_MESSAGE_MAX_CHARACTERS) }]);
    const encoded = Buffer.from(content).toString('base64url');
    const options = { ...this.#options, maxAge: FLASH_AGE_SECONDS };
    setCookie(c, this.#name(FLASH_NAME), `${encoded}.${macOf(encoded, token)}`, options);
  }

  /** The messages for this page, once. Those that another session, or something else, has set are ignored. */
  takeFlash(c: Context, token: string): readonly FlashMessage[] {
    const [encoded, mac, ...rest] = getCookie(c, this.#name(FLASH_NAME))?.split('.') ?? [];
    if (encoded === undefined) return [];
    deleteCookie(c, this.#name(FLASH_NAME), this.#options);
    if (mac === undefined || rest.length > 0 || !isSameText(mac, macOf(encoded, token))) return [];
    return FlashMessages.parse(JSON.parse(Buffer.from(encoded, 'base64url').toString()));
  }

  /** A cookie with the prefix can only be set over https, by no other scheme of the same host. */
  #name(name: string): string {
    return this.#is_https ? `__Secure-${name}` : name;
  }

  get #options() {
    return { path: this.#path, httpOnly: true, sameSite: 'Lax', secure: this.#is_https } as const;
  }
}

function macOf(encoded: string, token: string): string {
  const key = hash('sha256', `flash\0${token}`, 'buffer');
  return createHmac('sha256', key).update(encoded).digest('base64url');
}
