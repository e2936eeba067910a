/**
 * Refreshes access tokens before they end, so that no use waits for it. A run finds those that end soon, of credentials that were
 * used lately. Several servers share the work: the lease of each credential lets one of them send the request.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Caller, LOCAL_ORGANIZATION } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { describeFailure, type Logger } from '../../contract/logger.ts';
import { BoundedMap } from '../../io/bounded_map.ts';
import type { AccessTokens } from '../../use/access_tokens.ts';
import type { CredentialRef } from '../../vault/credentials/codec.ts';
import type { Vault } from '../../vault/vault.ts';
import { scheduledCaller } from './scheduled_caller.ts';

const AT_ONCE = 4;
/** Between two runs on average. */
const EVERY_MS = 5 * 60_000;
/** More than twice the time between two runs, so that a use never comes first. */
const BEFORE_MS = 15 * 60_000;
const REFUSED_MAX = 10_000;

export interface RefreshOptions {
  readonly vault: Pick<Vault, 'due_refreshes' | 'organizations' | 'uses'>;
  readonly tokens: Pick<AccessTokens, 'fresh'>;
  readonly log: Logger;
  /** Each operation gets a new caller. */
  readonly operator: () => Caller;
  readonly every_ms?: number;
  readonly signal: AbortSignal;
}

interface Run extends RefreshOptions {
  /** The revisions of credentials with which a refresh failed for another reason than an outage. They are left to uses. */
  readonly refused: BoundedMap<string, number>;
  readonly counts: { refreshed: number; failed: number };
}

/** Resolves when `signal` is aborted and no refresh is started any more. Never rejects. */
export async function refreshOnSchedule(options: RefreshOptions): Promise<void> {
  const { every_ms = EVERY_MS, signal, log } = options;
  const refused: Run['refused'] = new BoundedMap(REFUSED_MAX);
  for (;;) {
    // At random, so that two servers do not begin at the same time.
    await sleep(every_ms * (0.5 + Math.random()), undefined, { signal, ref: false }).catch(() => undefined);
    if (signal.aborted) return;
    const counts = { refreshed: 0, failed: 0 };
    await refreshAll({ ...options, refused, counts });
    if (counts.refreshed + counts.failed > 0) log.info(counts, 'refreshed access tokens ahead of their end');
  }
}

async function refreshAll(run: Run): Promise<void> {
  const { vault, log, operator, signal } = run;
  const running = new Set<Promise<void>>();
  try {
    for (const organization of [LOCAL_ORGANIZATION, ...(await vault.organizations.names(operator()))])
      await refreshOrganization(run, organization, running);
  } catch (error) {
    if (!signal.aborted) log.error({ failure: describeFailure(error) }, 'scheduled refreshes failed');
  }
  await Promise.all(running);
}

/** An organization that cannot be read does not keep the others from being refreshed. */
async function refreshOrganization(
  run: Run,
  organization: string,
  running: Set<Promise<void>>,
): Promise<void> {
  const { vault, log, operator, signal } = run;
  try {
    for await (const ref of vault.due_refreshes.list(operator(), organization, BEFORE_MS)) {
      if (running.size >= AT_ONCE) await Promise.race(running);
      signal.throwIfAborted();
      const refresh = refreshOne(run, organization, ref).finally(() => running.delete(refresh));
      running.add(refresh);
    }
  } catch (error) {
    if (!signal.aborted)
      log.error({ organization, failure: describeFailure(error) }, 'scheduled refreshes failed');
  }
}

/** Never rejects. After an outage a later run tries again, once the pause of the credential is over. */
async function refreshOne(
  { vault, tokens, log, refused, counts }: Run,
  organization: string,
  { user, service, stack, name }: CredentialRef,
): Promise<void> {
  const caller = scheduledCaller(organization, user);
  try {
    const input = { service_id: service, stack_id: stack, ...(name === null ? {} : { name }) };
    const found = await vault.uses.find(caller, input);
    const { credential_id, revision } = found;
    if (refused.get(credential_id) === revision) return;
    try {
      const fresh = await tokens.fresh(caller, found, 'request', BEFORE_MS);
      counts[fresh.revision === revision ? 'failed' : 'refreshed'] += 1;
    } catch (error) {
      if (error instanceof VaultError && error.code === 'FORBIDDEN') refused.set(credential_id, revision);
      throw error;
    }
  } catch (error) {
    counts.failed += 1;
    log.debug(
      { request_id: caller.request_id, failure: describeFailure(error) },
      'not refreshed on schedule',
    );
  }
}
