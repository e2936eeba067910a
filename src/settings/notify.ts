/** Parses the settings of notifications for people. All are off by default. */
import { createSecretKey, type KeyObject } from 'node:crypto';
import * as z from 'zod';
import { isSecureUrl } from '../io/server_url.ts';
import { invalidSetting, parseEnvironment } from './environment.ts';
import { readSecretSetting } from './secret.ts';

export interface NotifySettings {
  readonly webhook: { readonly url: string; readonly key: KeyObject } | undefined;
  readonly desktop: boolean;
}

const SECRET = {
  name: 'KEYHOLD_NOTIFY_WEBHOOK_SECRET',
  file_setting: 'KEYHOLD_NOTIFY_WEBHOOK_SECRET_FILE',
} as const;
const SECRET_PREFIX = 'whsec_';
/** Of Standard Webhooks. */
const KEY_MIN_BYTES = 24;
const KEY_MAX_BYTES = 64;

const NotifyEnvironment = z.object({
  KEYHOLD_NOTIFY_WEBHOOK: z
    .string()
    .refine(isSecureUrl, 'must be an https URL without user and password (http for this machine only)')
    .optional(),
  KEYHOLD_NOTIFY_DESKTOP: z.enum(['true', 'false'], 'must be true or false').default('false'),
});

/** Throws INVALID_INPUT. No error has a part of the URL or the secret. */
export function parseNotifySettings(environment: NodeJS.ProcessEnv, home: string): NotifySettings {
  const env = parseEnvironment(NotifyEnvironment, environment);
  const secret = readSecretSetting(environment, SECRET, home);
  const { KEYHOLD_NOTIFY_WEBHOOK: url } = env;
  const desktop = env.KEYHOLD_NOTIFY_DESKTOP === 'true';
  if (url === undefined && secret === undefined) return { webhook: undefined, desktop };
  if (url === undefined)
    throw invalidSetting(`KEYHOLD_NOTIFY_WEBHOOK must be set too when ${SECRET.name} is`);
  if (secret === undefined)
    throw invalidSetting(
      `${SECRET.name} or ${SECRET.file_setting} must be set too when KEYHOLD_NOTIFY_WEBHOOK is: it signs the requests`,
    );
  return { webhook: { url, key: keyOf(secret.reveal()) }, desktop };
}

function keyOf(secret: string): KeyObject {
  const text = secret.startsWith(SECRET_PREFIX) ? secret.slice(SECRET_PREFIX.length) : '';
  const bytes = Buffer.from(text, 'base64');
  const is_base64 = bytes.toString('base64').replace(/=+$/, '') === text.replace(/=+$/, '');
  if (is_base64 && bytes.length >= KEY_MIN_BYTES && bytes.length <= KEY_MAX_BYTES)
    return createSecretKey(bytes);
  throw invalidSetting(
    `${SECRET.name} must be "${SECRET_PREFIX}" and ${KEY_MIN_BYTES} to ${KEY_MAX_BYTES} random bytes in base64`,
  );
}
