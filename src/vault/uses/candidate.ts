/** The types of a test before values are stored. */
import type { Caller } from '../../contract/caller.ts';
import type { Destination } from '../../contract/destination.ts';
import type { Service } from '../../contract/service/service.ts';
import type { LastTest } from '../../contract/use/test_result.ts';
import type { OpenedUse, UseRequest } from './use.ts';

/** A credential that is not stored as it is. */
export interface Candidate {
  readonly service: Service;
  readonly stack: string;
  readonly name: string | null;
  /** Of the stored credential that it would replace. */
  readonly credential_id: string | null;
  readonly fields: readonly string[];
  readonly destination: Destination;
  /** Logs the use, then returns the values. If the entry cannot be written, nothing is returned. */
  begin(request: UseRequest, address?: string): Promise<OpenedUse>;
}

/** Tests a candidate. Rejects with VaultError unless the service accepts it. */
export type VerifyCandidate = (caller: Caller, candidate: Candidate) => Promise<LastTest>;
