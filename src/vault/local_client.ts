/** The client of a vault that is open in this process, for one kind of caller. The vault authorizes the calls. */
import type { Caller } from '../contract/caller.ts';
import { USE_COUNT_DAYS } from '../contract/limits.ts';
import type { StackInfo, StackSummary } from '../contract/stack.ts';
import type { Calls } from '../contract/use/call.ts';
import type { Tests } from '../contract/use/test.ts';
import type { VaultClient } from '../contract/vault_client.ts';
import type { WriteOptions } from './protection/protection.ts';
import type { Vault } from './vault.ts';

/** `caller` is called for every operation, so that each has its own request id. `write`: of all writes of values. */
export function localClient(
  vault: Vault,
  caller: () => Caller,
  calls: Calls,
  tests: Tests,
  write: WriteOptions = {},
): VaultClient {
  return {
    streamService: (input) => calls.stream(caller(), input),
    callService: async (input) => (await calls.call(caller(), input)).output,
    testCredential: (input) => tests.test(caller(), input),
    getPublicKey: () => vault.publicKey(caller()),
    getSealingKey: () => vault.sealingKey(caller()),
    storeCredential: (input) => vault.store(caller(), input, write),
    updateCredentials: (input) => vault.update(caller(), input, write),
    setUsePolicy: (input) => vault.use_policies.set(caller(), input),
    getCredentialStatus: (input) => vault.status(caller(), input),
    listCredentials: (input = {}) => vault.listCredentials(caller(), input),
    listStacks: async () => (await vault.stacks.list(caller())).map(summaryOf),
    createStack: async (input) => summaryOf(await vault.stacks.create(caller(), input)),
    renameStack: async (id, stack_name) => summaryOf(await vault.stacks.update(caller(), id, { stack_name })),
    deleteStack: (id) => vault.stacks.delete(caller(), id),
    listStackShares: (id) => vault.stack_shares.list(caller(), id),
    shareStack: (id, input) => vault.stack_shares.share(caller(), id, input),
    unshareStack: (id, input) => vault.stack_shares.unshare(caller(), id, input),
    deleteCredential: (input) => vault.delete(caller(), input),
    listServices: (input = {}) => vault.listServices(caller(), input),
    listServiceDefinitions: async () => vault.services.list(),
    listAudit: (input, limit, before) => vault.listAudit(caller(), input, limit, before),
    countUses: (days = USE_COUNT_DAYS, service_id) => vault.audit.countUses(caller(), days, service_id),
    listApprovals: (which = 'pending', organization) => vault.approvals.listOf(caller(), which, organization),
    getApproval: (id, organization) => vault.approvals.get(caller(), id, organization),
    approve: (id, choice, organization) => vault.approvals.approve(caller(), id, organization, choice),
    deny: (id, organization) => vault.approvals.deny(caller(), id, organization),
    revokeApproval: (id, organization) => vault.approvals.revoke(caller(), id, organization),
    verifyAudit: (input = {}) => {
      const { organization, progress, accept } = input ?? {};
      return vault.verifyAudit(caller(), { organization, progress, accept });
    },
    createKey: (input = {}) => vault.api_keys.create(caller(), input),
    listKeys: (organization) => vault.api_keys.list(caller(), organization),
    rotateKey: (id) => vault.api_keys.rotate(caller(), id),
    revokeKey: (id) => vault.api_keys.revoke(caller(), id),
    listUnits: (organization) => vault.organizations.listUnits(caller(), organization),
    listUsers: (organization) => vault.users.list(caller(), organization),
    moveUser: (name, unit, organization) => vault.users.move(caller(), name, unit, organization),
    removeUser: (name, organization) => vault.users.remove(caller(), name, organization),
    createUnit: (name, organization) => vault.organizations.createUnit(caller(), name, organization),
  };
}

function summaryOf({ analytics_enabled: _, services, ...stack }: StackInfo): StackSummary {
  return { ...stack, services: services.map(({ service_id }) => service_id) };
}
