/** The settings, from environment variables, parsed once. A wrong one is an error that names it. */
import { isAbsolute, join, resolve } from 'node:path';
import envPaths from 'env-paths';
import * as z from 'zod';
import { VaultError } from '../contract/errors.ts';
import { ENV_NAME_PATTERN } from '../contract/service.ts';
import type { TokenIssuer } from '../contract/token_issuer.ts';
import { HTTP_ENVIRONMENT, type HttpSettings, httpSettings } from './http.ts';
import { OAUTH_ENVIRONMENT, oauthSettings } from './oauth.ts';

const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Settings {
  readonly home: string;
  /** Path of the SQLite file. */
  readonly store_path: string;
  readonly root_key:
    | { readonly kind: 'file'; readonly path: string }
    | { readonly kind: 'env'; readonly name: string }
    | { readonly kind: 'passphrase' };
  /** Where people put service definitions of their own. */
  readonly services_folder: string;
  readonly cipher: 'aes-256-gcm' | 'xchacha20-poly1305';
  readonly log: LogLevel;
  /** For `keyhold serve`. */
  readonly http: HttpSettings;
  /** Whose access tokens `keyhold serve` takes beside API keys. */
  readonly oauth: TokenIssuer | undefined;
}

const Environment = z.object({
  KEYHOLD_HOME: z
    .string()
    .refine((path) => path.trim() !== '', 'must be the path of a folder')
    .optional(),
  KEYHOLD_STORE: z
    .string()
    .regex(/^sqlite:./, 'must be sqlite:PATH')
    .optional(),
  KEYHOLD_ROOT_KEY: z
    .string()
    .refine(
      (text) =>
        /^file:./.test(text) ||
        text === 'passphrase' ||
        (text.startsWith('env:') && ENV_NAME_PATTERN.test(text.slice(4))),
      'must be file:PATH, env:NAME or passphrase',
    )
    .optional(),
  KEYHOLD_CIPHER: z
    .enum(['aes-256-gcm', 'xchacha20-poly1305'], 'must be aes-256-gcm or xchacha20-poly1305')
    .optional(),
  KEYHOLD_LOG: z.enum(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(', ')}`).optional(),
  ...HTTP_ENVIRONMENT,
  ...OAUTH_ENVIRONMENT,
});

/** Throws INVALID_INPUT, reason `setting_invalid`, for the first setting that is wrong. */
export function parseSettings(env: NodeJS.ProcessEnv): Settings {
  const parsed = Environment.safeParse(env);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new VaultError('INVALID_INPUT', `The setting ${String(issue?.path[0])} ${issue?.message}.`, {
      reason: 'setting_invalid',
    });
  }
  const { KEYHOLD_HOME, KEYHOLD_STORE, KEYHOLD_ROOT_KEY, KEYHOLD_CIPHER, KEYHOLD_LOG } = parsed.data;
  const home = resolve(KEYHOLD_HOME ?? envPaths('keyhold', { suffix: '' }).data);
  const at = (path: string) => (isAbsolute(path) ? path : resolve(home, path));
  const store = (KEYHOLD_STORE ?? '').slice('sqlite:'.length);
  return {
    home,
    store_path: store === '' ? join(home, 'data', 'vault.db') : at(store),
    root_key: rootKey(KEYHOLD_ROOT_KEY ?? `file:${join(home, 'keys', 'root.key')}`, at),
    services_folder: join(home, 'services'),
    cipher: KEYHOLD_CIPHER ?? 'aes-256-gcm',
    log: KEYHOLD_LOG ?? 'info',
    http: httpSettings(parsed.data, at),
    oauth: oauthSettings(parsed.data),
  };
}

function rootKey(text: string, at: (path: string) => string): Settings['root_key'] {
  if (text === 'passphrase') return { kind: 'passphrase' };
  if (text.startsWith('env:')) return { kind: 'env', name: text.slice('env:'.length) };
  return { kind: 'file', path: at(text.slice('file:'.length)) };
}
