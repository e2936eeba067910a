/** A vault with custom services whose hosts are upstreams of the test, and the calls to them. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Caller } from '../../../src/contract/caller.ts';
import type { InjectionRule } from '../../../src/contract/service/authentication.ts';
import type { CallInput, CallOutput } from '../../../src/contract/use/call.ts';
import { CallService } from '../../../src/use/call/call_service.ts';
import { ValueProducer } from '../../../src/use/values/value_producer.ts';
import { ReferenceList } from '../../../src/vault/values/reference_list.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import {
  type Handler,
  openUpstreamEgress,
  startUpstream,
  type Upstream,
} from '../../kit/upstream/upstream.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

export const HOST = 'api.acme.test';
const FIELD_MAX_LENGTH = 4_000;

/** A definition with these secret fields, and plain ones. */
export function definitionOf(
  injection: InjectionRule,
  {
    fields = ['token'],
    plain = [],
    ...more
  }: { fields?: string[]; plain?: string[]; [key: string]: unknown } = {},
): Record<string, unknown> {
  const field = (field_id: string, secret: boolean) => ({
    field_id,
    name: field_id,
    description: 'A field.',
    required: false,
    secret,
    max_length: FIELD_MAX_LENGTH,
  });
  return {
    slug: 'acme',
    name: 'Acme',
    description: 'A service of the test.',
    category: 'other',
    fields: [...fields.map((id) => field(id, true)), ...plain.map((id) => field(id, false))],
    value_field: { bearer: fields[0] },
    credential_types: ['bearer'],
    hosts: [HOST],
    base_url: `https://${HOST}`,
    injection,
    ...more,
  };
}

export const BEARER: InjectionRule = { in: 'header', headers: { Authorization: 'Bearer {token}' } };

export interface CallSetup {
  readonly vault: Vault;
  readonly home: string;
  readonly calls: CallService;
  readonly upstream: Upstream;
  caller(): Caller;
  call(input: Omit<CallInput, 'service_id'> & { service_id?: string }): Promise<CallOutput>;
}

/** The credential of `acme` has these values. `handler`: of its host. */
export async function openCalls(
  handler: Handler,
  values: Readonly<Record<string, string>>,
  definition: Record<string, unknown> = definitionOf(BEARER),
): Promise<CallSetup> {
  const upstream = await startUpstream([HOST], handler);
  const home = temporaryFolder();
  mkdirSync(join(home, 'services'), { recursive: true });
  writeFileSync(join(home, 'services', 'acme.json'), JSON.stringify(definition));
  const { vault, caller } = await openTestVault(home);
  await vault.update(caller(), { service_id: 'acme', credentials: { ...values } });
  const calls = callsOf(vault);
  return {
    vault,
    home,
    calls,
    upstream,
    caller,
    call: async (input) => (await calls.call(caller(), { service_id: 'acme', ...input })).output,
  };
}

/** The calls of a vault, which reach the upstreams of the test. */
export function callsOf({ uses, nodes }: Vault): CallService {
  const references = { list: ReferenceList.NONE, env: {} };
  const values = new ValueProducer({ references, env: {}, now: () => new Date() });
  return new CallService({ uses, egress: openUpstreamEgress(), values, nodes });
}
