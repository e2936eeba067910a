/**
 * Requests to key services: their limits, their failures, and their repetition while the service cannot be reached. No message
 * or cause contains a key, a token or the text of a response.
 */
import { VaultError } from '../../contract/errors.ts';
import { KEY_SERVICE_RESPONSE_MAX_BYTES, KEY_SERVICE_TIMEOUT_MS } from '../../contract/limits.ts';
import { KEY_BYTES, rootKeyId } from '../../crypto/key_hierarchy.ts';
import { systemRandom } from '../../crypto/random.ts';
import { assertOpens, type ExternalRootKey } from './root_key.ts';

/** Sends a request over the connections of the program, which use its proxy and trust its authorities. Rejects if there is no response. */
export type SendRequest = (
  url: string,
  request: {
    readonly method: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body?: Buffer | undefined;
  },
  limits: { readonly time_ms: number; readonly body_bytes: number },
) => Promise<{
  readonly status: number;
  /** By name, in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}>;

/** Of one request and its response. */
export const KEY_SERVICE_LIMITS = {
  time_ms: KEY_SERVICE_TIMEOUT_MS,
  body_bytes: KEY_SERVICE_RESPONSE_MAX_BYTES,
} as const;

const FIRST_DELAY_MS = 200;
const DELAY_MAX_MS = 5_000;

/** The service refuses the request: final. `remedy`: the settings and permissions to check. */
export function keyServiceDenied(service: string, problem: string, remedy: string): VaultError {
  const message = `${service} ${problem}, so the vault stays locked. ${remedy}`;
  return new VaultError('LOCKED', message, { reason: 'kms_denied' });
}

/** The service did not decide: repeated until a deadline. */
export function keyServiceUnreachable(service: string, problem: string, remedy: string): VaultError {
  const message = `${service} ${problem}, so the root key cannot be read now. ${remedy}`;
  return new VaultError('UNAVAILABLE', message, { reason: 'kms_unreachable', retry: true });
}

/** Repeats a request that fails with `kms_unreachable`, with full jitter, for `time_ms`. Throws the last error. */
export async function withRetries<Result>(request: () => Promise<Result>, time_ms: number): Promise<Result> {
  const give_up_at_ms = performance.now() + time_ms;
  for (let delay_ms = FIRST_DELAY_MS; ; delay_ms = Math.min(delay_ms * 2, DELAY_MAX_MS)) {
    try {
      return await request();
    } catch (error) {
      if (!(error instanceof VaultError && error.reason === 'kms_unreachable')) throw error;
      const pause_ms = Math.random() * delay_ms;
      if (performance.now() + pause_ms >= give_up_at_ms) throw error;
      await new Promise((resolve) => setTimeout(resolve, pause_ms));
    }
  }
}

/** Tests a key service with a random key that is not used, before anything of a new vault is created. */
export async function trialSeal(source: ExternalRootKey): Promise<void> {
  const key = systemRandom(KEY_BYTES);
  await assertOpens(source, key, await source.seal(key, rootKeyId(key)));
}
