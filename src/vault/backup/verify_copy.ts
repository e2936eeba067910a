/** Verifies the audit logs of a vault that is not open yet: of every organization, with all records that they name. */
import type { AuditReport } from '../../contract/audit.ts';
import type { RandomBytes } from '../../crypto/random.ts';
import type { Cipher } from '../../crypto/record_cipher.ts';
import { loadSodium } from '../../crypto/sodium.ts';
import type { Store } from '../../store/store.ts';
import { AuditLog } from '../audit/log.ts';
import { AuditVerifier } from '../audit/verifier.ts';
import { CredentialCodec } from '../credentials/codec.ts';
import { Keyring } from '../keys/keyring.ts';
import { RefreshingStore } from '../keys/refreshing_store.ts';
import { keyMissing } from '../keys/wrapped_keys.ts';
import { RecordCodec } from '../records/record_codec.ts';

export interface SealingOptions {
  readonly random: RandomBytes;
  readonly cipher: Cipher;
}

/** The keys of a store and its log, without the operations of a vault. */
export async function openKeys(opened: Store, root_key: Buffer, { random, cipher }: SealingOptions) {
  const sodium = await loadSodium();
  const keys = await Keyring.open(opened, sodium, { root_key, read: async () => root_key });
  const records = new RecordCodec(sodium, random, cipher);
  const store = new RefreshingStore(opened, keys, records);
  return { keys, store, audit_log: new AuditLog(store, sodium, random, cipher), records };
}

export async function verifyCopy(
  opened: Store,
  root_key: Buffer,
  sealing: SealingOptions,
  onProgress?: (done: number, total: number) => void,
): Promise<AuditReport> {
  const { keys, store, audit_log, records } = await openKeys(opened, root_key, sealing);
  const parts = { store, keys, audit_log, records, codec: new CredentialCodec(records), anchor: undefined };
  const report = { ok: true, entries: 0, credentials: 0, findings: [] as AuditReport['findings'][number][] };
  for (const { organization } of await store.auditHeads()) {
    const keyring = await keys.organizationOf(organization);
    if (keyring === undefined) throw keyMissing();
    const one = await new AuditVerifier(parts, keyring, { progress: onProgress }).run();
    report.ok &&= one.ok;
    report.entries += one.entries;
    report.credentials += one.credentials;
    report.findings.push(...one.findings);
  }
  return report;
}
