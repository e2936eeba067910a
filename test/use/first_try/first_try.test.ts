/**
 * Twenty calls that a reader wrote who had seen only the list of tools, once and without correction, sent to upstreams that
 * reject what GitHub, Stripe and Linear would reject. `calls.json` is a record: it is not edited when a call fails.
 */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { CallInput } from '../../../src/contract/use/call.ts';
import { startUpstream, upstreamEnv } from '../../kit/upstream/upstream.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';
import { TASKS } from './tasks.ts';
import { github, linear, stripe } from './upstreams.ts';

interface Call {
  readonly tool: string;
  readonly arguments: CallInput;
}

const CALLS: readonly Call[] = JSON.parse(readFileSync(new URL('./calls.json', import.meta.url), 'utf8'));
/** Numbers of the tasks whose call did not do the task. */
const FAILED: readonly number[] = [];

test(`${TASKS.length - FAILED.length} of ${TASKS.length} tasks are done by the first call`, async () => {
  const upstreams = {
    github: await startUpstream(['api.github.com'], github('github-token-1')),
    stripe: await startUpstream(['api.stripe.com'], stripe('sk_test_1')),
    linear: await startUpstream(['api.linear.app'], linear('lin_api_1')),
  };
  const folder = temporaryFolder();
  const { vault, calls, caller } = await openTestVault(folder, upstreamEnv(folder));
  for (const [service_id, credential_value] of [
    ['github', 'github-token-1'],
    ['stripe', 'sk_test_1'],
    ['linear', 'lin_api_1'],
  ] as const)
    await vault.store(caller(), { service_id, credential_type: 'api_key', credential_value });
  const failed: number[] = [];
  for (const [at, { task, isDone }] of TASKS.entries()) {
    const call = CALLS[at];
    const service = call?.arguments.service_id as keyof typeof upstreams;
    const before = upstreams[service]?.requests.length ?? 0;
    try {
      if (call?.tool !== 'call_service') throw new Error('another tool');
      const { output } = await calls.call(caller(), call.arguments);
      const sent = upstreams[service].requests.slice(before);
      if (sent.length > 1 || !isDone(output, sent[0])) throw new Error(JSON.stringify(output).slice(0, 300));
    } catch (error) {
      console.error(`${at + 1}. ${task}: ${error instanceof Error ? error.message : String(error)}`);
      failed.push(at + 1);
    }
  }
  expect(CALLS).toHaveLength(TASKS.length);
  expect(failed).toEqual(FAILED);
});
