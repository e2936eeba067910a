/** The door to a vault that is open in this process, for one kind of caller. Decides nothing: the vault does. */
import type { Caller } from '../contract/caller.ts';
import type { InOrganization, VaultDoor } from '../contract/vault_door.ts';
import type { Vault } from './vault.ts';

/** `caller`: called for every operation, so that each has a request id of its own. */
export function localDoor(vault: Vault, caller: () => Caller): VaultDoor {
  const callerIn = ({ organization }: InOrganization): Caller =>
    organization === undefined ? caller() : vault.api_keys.callerIn(caller(), organization);
  return {
    getPublicKey: async () => vault.publicKey,
    storeCredential: (input) => vault.store(caller(), input),
    updateCredentials: (input) => vault.update(caller(), input),
    getCredentialStatus: (input) => vault.status(caller(), input),
    listCredentials: (input = {}) => vault.statusList(caller(), input),
    deleteCredential: (input) => vault.delete(caller(), input),
    listServices: (input = {}) => vault.listServices(caller(), input),
    getService: async (service_id) => vault.services.get(service_id),
    listServiceDefinitions: async (query) => vault.services.list(query),
    listAudit: async ({ organization, ...filter } = {}, limit, before) =>
      vault.auditList(callerIn({ organization }), filter, limit, before),
    verifyAudit: async ({ progress, ...where } = {}) => vault.auditVerify(callerIn(where), progress),
    createKey: (input = {}) => vault.api_keys.create(caller(), input),
    listKeys: (organization) => vault.api_keys.list(caller(), organization),
    rotateKey: (id) => vault.api_keys.rotate(caller(), id),
    revokeKey: (id) => vault.api_keys.revoke(caller(), id),
    listUnits: (organization) => vault.api_keys.listUnits(caller(), organization),
    createUnit: (name, organization) => vault.api_keys.createUnit(caller(), name, organization),
  };
}
