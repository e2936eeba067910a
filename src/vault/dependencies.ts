/** The parts of an open vault that its operations share. */
import type { NotifyPerson } from '../contract/approval.ts';
import type { QuotaLimits } from '../contract/limits.ts';
import type { RandomBytes } from '../crypto/random.ts';
import type { LoadedSodium } from '../crypto/sodium.ts';
import type { ServiceCatalogue } from '../services/catalogue.ts';
import type { IsHostAllowed } from '../services/hosts/host_value.ts';
import type { Store } from '../store/store.ts';
import type { AuditAnchor } from './audit/anchor.ts';
import type { AuditLog } from './audit/log.ts';
import type { CredentialCodec } from './credentials/codec.ts';
import type { Keyring } from './keys/keyring.ts';
import type { RootKeySource } from './keys/root_key.ts';
import type { Revocations } from './oauth/revocations.ts';
import type { RecordCodec } from './records/record_codec.ts';
import type { VerifyValues } from './uses/use.ts';
import type { ReferenceList } from './values/reference_list.ts';

/** Created by `openStoredVault`. */
export interface VaultDependencies {
  readonly store: Store;
  readonly keys: Keyring;
  /** Where the root key is. */
  readonly root_key: RootKeySource;
  readonly sodium: LoadedSodium;
  readonly random: RandomBytes;
  readonly records: RecordCodec;
  readonly codec: CredentialCodec;
  readonly audit_log: AuditLog;
  /** `undefined` if the options of the vault have no path for it. */
  readonly anchor: AuditAnchor | undefined;
  readonly services: ServiceCatalogue;
  /** The folder of custom definitions. Absent: none can be added here. */
  readonly services_folder?: string | undefined;
  readonly isHostAllowed: IsHostAllowed;
  /** The references that may be stored in place of a value. */
  readonly references: ReferenceList;
  /** Whether credentials that a person stores become protected. */
  readonly protects: boolean;
  readonly quota: QuotaLimits;
  /** Absent: values cannot be tested before they are stored. */
  readonly verify?: VerifyValues | undefined;
  /** Called after a request that waits for a person was stored. */
  readonly notify: NotifyPerson;
  /** Revokes the tokens of deleted credentials. */
  readonly revocations: Revocations;
  /** Awaited before the vault is closed. */
  readonly beforeClose?: (() => Promise<void>) | undefined;
  readonly now: () => Date;
}
