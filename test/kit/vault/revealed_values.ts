/** Reads all values of a closed vault, to compare them with the values that were written. */
import { compose } from '../../../src/app/compose.ts';
import { SCOPES } from '../../../src/contract/caller.ts';
import { readRowById, test_engine } from './database.ts';

export interface RevealedCredential {
  readonly credential_id: string;
  readonly revision: number;
  readonly values: Readonly<Record<string, string>>;
}

/** Every credential of the default stack, by service and name (`linear`, `linear/work`). The vault needs a key file. */
export async function revealCredentials(home: string): Promise<Map<string, RevealedCredential>> {
  const composition = compose({
    env: { KEYHOLD_HOME: home, ...test_engine.settings(home) },
    promptSecret: async () => undefined,
    now: () => new Date(),
  });
  const caller = () => ({ ...composition.caller('library'), scopes: new Set(SCOPES) });
  const vault = await composition.openVault('no', 'library');
  try {
    const { credentials } = await vault.listCredentials(caller(), {});
    const revealed = new Map<string, RevealedCredential>();
    for (const { credential_id, service_id, name } of credentials) {
      if (credential_id === null) continue;
      const row = await readRowById(home, credential_id);
      if (row === undefined) throw new Error(`record ${credential_id} not found`);
      const values = await vault.credentials.reveal(caller(), credential_id);
      revealed.set(name === null ? service_id : `${service_id}/${name}`, {
        credential_id,
        revision: row.revision,
        values: Object.fromEntries([...values].map(([field, value]) => [field, value.reveal()])),
      });
    }
    return revealed;
  } finally {
    await vault.close();
  }
}
