/**
 * The use policies of stored credentials. Persons and administrators set any; others can only tighten, and
 * a model can change nothing.
 */
import type { Caller } from '../../contract/caller.ts';
import { SetUsePolicyInput, type SetUsePolicyOutput } from '../../contract/credential.ts';
import { VaultError } from '../../contract/errors.ts';
import type { UsePolicy } from '../../contract/use/policy.ts';
import { parseInput } from '../../contract/validation.ts';
import type { Mutation } from '../credentials/changes.ts';
import type { CredentialMeta } from '../credentials/codec.ts';
import { requestedRef } from '../credentials/name.ts';
import type { CredentialWriter } from '../credentials/writer.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { type Guard, mayDecideFor } from '../guard.ts';
import { isPolicyWithin } from './policy.ts';

const SET = { scope: 'credentials:write', action: 'set_use_policy' } as const;

export class UsePolicies {
  readonly #services: VaultDependencies['services'];
  readonly #guard: Guard;
  readonly #writer: CredentialWriter;

  constructor({ services }: Pick<VaultDependencies, 'services'>, guard: Guard, writer: CredentialWriter) {
    this.#services = services;
    this.#guard = guard;
    this.#writer = writer;
  }

  /** Throws NOT_FOUND without such a credential, and FORBIDDEN for a wider policy than the caller may set. */
  async set(caller: Caller, raw: SetUsePolicyInput): Promise<SetUsePolicyOutput> {
    const input = parseInput(SetUsePolicyInput, raw);
    const service = this.#services.get(input.service_id);
    const ref = await requestedRef(this.#guard, caller, service, input);
    const { scope, action } = SET;
    const keyring = await this.#guard.authorize(caller, scope, ref, action);
    const change: Mutation = (current) => {
      if (current === undefined) throw new VaultError('NOT_FOUND', 'There is no such credential.');
      const use_policy = policyAfter(caller, current.meta, input);
      return { type: current.meta.type, values: current.values(), use_policy };
    };
    const request = { caller, keyring, action, ref, fields: [], needs_values: true, change };
    const meta = await this.#writer.write(request);
    return { credential_id: meta.id, use_policy: meta.use_policy ?? null };
  }
}

function policyAfter(
  caller: Caller,
  { use_policy: before, user: owner }: CredentialMeta,
  { use_policy, replace = false }: SetUsePolicyInput,
): UsePolicy | null {
  if (caller.edge === 'mcp') {
    const message = 'A model cannot change what a credential may be used for. Ask the user.';
    throw new VaultError('FORBIDDEN', message);
  }
  const given = Object.entries(use_policy).filter(([, limit]) => limit !== undefined);
  const after: UsePolicy = { ...(replace ? {} : before), ...Object.fromEntries(given) };
  const may_widen = mayDecideFor(caller, owner) || caller.scopes.has('org:admin');
  if (!may_widen && !isPolicyWithin(after, before)) {
    const message =
      'Only a person, on the pages of Keyhold or the command line at the machine of the vault, or an administrator can widen a policy.';
    throw new VaultError('FORBIDDEN', message, { required_scope: 'org:admin' });
  }
  return Object.keys(after).length === 0 ? null : after;
}
