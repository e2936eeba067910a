/** Applies the use policies of a credential and of an API key, and counts uses a minute, with all nodes together. */
import type { Caller } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { USE_LIMIT_KEYS_MAX } from '../../contract/limits.ts';
import type { UsePolicy } from '../../contract/use/policy.ts';
import type { MinuteWindows } from '../../io/minute_windows.ts';
import type { Nodes } from '../nodes/nodes.ts';
import { assertWithinPolicy, type Limited } from './policy.ts';
import type { UsableCredential, UseRequest } from './use.ts';

/** Each policy has its limit. With this one, the counts of uses are compared with those of other events. */
const USUAL_USES_PER_MINUTE = 60;

interface AppliedPolicy {
  readonly policy: UsePolicy;
  readonly limited: Limited;
  /** What uses are counted by. */
  readonly key: string;
}

/** The policies that a use must satisfy. */
export function policiesOf(
  caller: Caller,
  { policy, credential_id }: UsableCredential,
): readonly AppliedPolicy[] {
  const { use_policy, organization, user, api_key_id } = caller;
  const key = `caller\0${organization}\0${user}\0${api_key_id ?? ''}`;
  return [
    ...(policy === undefined ? [] : [{ policy, limited: 'credential', key: credential_id } as const]),
    ...(use_policy === undefined ? [] : [{ policy: use_policy, limited: 'API key', key } as const]),
  ];
}

export class UseLimits {
  readonly #windows: MinuteWindows;

  constructor(nodes: Pick<Nodes, 'windows'>) {
    this.#windows = nodes.windows('uses', USUAL_USES_PER_MINUTE, USE_LIMIT_KEYS_MAX);
  }

  /** Throws FORBIDDEN, EXPIRED or RATE_LIMITED. */
  check(policies: readonly AppliedPolicy[], request: UseRequest, now: Date): void {
    const now_ms = performance.now();
    for (const { policy, limited, key } of policies) {
      assertWithinPolicy(policy, limited, request, now);
      const { calls_per_minute } = policy;
      const window = calls_per_minute === undefined ? undefined : this.#windows.read(key, now_ms);
      if (calls_per_minute === undefined || window === undefined || window.count < calls_per_minute) continue;
      const seconds = Math.max(1, Math.ceil((window.ends_ms - now_ms) / 1000));
      const message = `The policy of this ${limited} allows ${calls_per_minute} uses a minute. Try again in ${seconds} ${seconds === 1 ? 'second' : 'seconds'}.`;
      throw new VaultError('RATE_LIMITED', message, { retry_after: seconds });
    }
  }

  /** As `check`, and counts the use. */
  count(policies: readonly AppliedPolicy[], request: UseRequest, now: Date): void {
    this.check(policies, request, now);
    for (const { policy, key } of policies)
      if (policy.calls_per_minute !== undefined) this.#windows.add(key, performance.now());
  }
}
