/** Parses the settings that every command needs from environment variables. An error names the setting, never its text. */
import { join } from 'node:path';
import * as z from 'zod';
import type { StoreLocation } from '../io/store_location.ts';
import { invalidSetting, parseEnvironment } from './environment.ts';
import { absolutePath, dataFolder, resolvePath } from './folders.ts';
import { parseRootKey, ROOT_KEY_RULE, type RootKeySetting } from './keys/root_key.ts';
import { isPostgresUri, parsePostgresUri } from './postgres/uri.ts';

const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Settings {
  readonly home: string;
  readonly store: StoreLocation;
  readonly root_key: RootKeySetting;
  /** How long unwrapped keys are used without the key service of the root key. */
  readonly key_cache_ms: number;
  /** Folder of the custom service definitions. */
  readonly services_folder: string;
  readonly cipher: 'aes-256-gcm' | 'xchacha20-poly1305';
  /** Whether credentials that a person stores at the command line become protected. */
  readonly protects: boolean;
  readonly log: LogLevel;
}

const KEY_CACHE_MINUTES = 60;
const KEY_CACHE_MAX_MINUTES = 1440;
const KEY_CACHE_RULE = `must be a number of minutes from 1 to ${KEY_CACHE_MAX_MINUTES}`;

const Environment = z.object({
  KEYHOLD_HOME: z
    .string()
    .refine((path) => path !== '', 'must be the path of a folder')
    .optional(),
  KEYHOLD_STORE: z
    .string()
    .refine(
      (text) => /^sqlite:./.test(text) || isPostgresUri(text),
      'must be sqlite:PATH or postgres://USER@HOST:PORT/DATABASE',
    )
    .optional(),
  KEYHOLD_ROOT_KEY: z.string().optional(),
  KEYHOLD_KEY_CACHE_MINUTES: z
    .string()
    .regex(/^[1-9]\d{0,3}$/, KEY_CACHE_RULE)
    .transform(Number)
    .refine((minutes) => minutes <= KEY_CACHE_MAX_MINUTES, KEY_CACHE_RULE)
    .optional(),
  KEYHOLD_CIPHER: z
    .enum(['aes-256-gcm', 'xchacha20-poly1305'], 'must be aes-256-gcm or xchacha20-poly1305')
    .optional(),
  KEYHOLD_PROTECT: z.enum(['on', 'off'], 'must be on or off').optional(),
  KEYHOLD_LOG: z.enum(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(', ')}`).optional(),
});

/** Throws INVALID_INPUT, reason `setting_invalid`, for the first invalid setting. */
export function parseSettings(env: NodeJS.ProcessEnv): Settings {
  const parsed = parseEnvironment(Environment, env);
  const { KEYHOLD_HOME, KEYHOLD_STORE, KEYHOLD_ROOT_KEY, KEYHOLD_CIPHER, KEYHOLD_PROTECT, KEYHOLD_LOG } =
    parsed;
  const home = KEYHOLD_HOME === undefined ? dataFolder(env) : absolutePath('KEYHOLD_HOME', KEYHOLD_HOME, env);
  return {
    home,
    store: storeLocation(KEYHOLD_STORE ?? `sqlite:${join(home, 'data', 'vault.db')}`, home, env),
    root_key: rootKey(KEYHOLD_ROOT_KEY ?? `file:${join(home, 'keys', 'root.key')}`, home, env),
    key_cache_ms: (parsed.KEYHOLD_KEY_CACHE_MINUTES ?? KEY_CACHE_MINUTES) * 60_000,
    services_folder: join(home, 'services'),
    cipher: KEYHOLD_CIPHER ?? 'aes-256-gcm',
    protects: KEYHOLD_PROTECT === 'on',
    log: KEYHOLD_LOG ?? 'info',
  };
}

function storeLocation(text: string, home: string, env: NodeJS.ProcessEnv): StoreLocation {
  if (isPostgresUri(text)) return parsePostgresUri(text, home, env);
  return { kind: 'sqlite', path: resolvePath('KEYHOLD_STORE', text.slice('sqlite:'.length), home, env) };
}

function rootKey(text: string, home: string, env: NodeJS.ProcessEnv): RootKeySetting {
  const root_key = parseRootKey(text, home, env);
  if (root_key === undefined) throw invalidSetting(`KEYHOLD_ROOT_KEY ${ROOT_KEY_RULE}`);
  return root_key;
}
