/** Inputs and outputs of tests of credentials: whether the service accepts the values, without showing them. */
import * as z from 'zod';
import type { Caller } from '../caller.ts';
import { CredentialStatusInput, ServiceId, Value } from '../credential.ts';
import { outcomeShape } from './test_result.ts';

export const TestInput = CredentialStatusInput;
export type TestInput = z.infer<typeof TestInput>;

export const TestOutput = z.strictObject({
  service_id: z.string(),
  service_name: z.string(),
  name: z.string().nullable(),
  stack_id: z.string(),
  credential_id: z.string().nullable().describe('null: the tested values are not stored.'),
  ...outcomeShape,
  checked: z.array(z.string()).describe('The checks that were made, such as "login" or "write access".'),
  facts: z
    .record(z.string(), z.string())
    .describe('Further facts, such as server_version, tls or host_key. Never a value.'),
  latency_ms: z.int().describe('Of the test as a whole.'),
  tested_at: z.string().describe('ISO 8601, UTC.'),
  next: z.string().describe('The next step, in one sentence.'),
});
export type TestOutput = z.infer<typeof TestOutput>;

/** Values to test that are not stored. */
export const GivenTestInput = z.strictObject({
  service_id: ServiceId,
  credentials: z.record(z.string(), Value).describe('Field id to value. No sealed values.'),
});
export type GivenTestInput = z.infer<typeof GivenTestInput>;

/** Tests of credentials, for every interface. Each is a use: audited, and sent only where the credential is bound to. */
export interface Tests {
  /** Rejects with VaultError if the credential cannot be tested at all; every finding about it is a result. */
  test(caller: Caller, input: TestInput): Promise<TestOutput>;
  /** As `test`, for a credential by its id. */
  testById(caller: Caller, credential_id: string): Promise<TestOutput>;
  /**
   * Tests values that are not stored and name their own server. A server that cannot be reached, for any reason, is
   * `unreachable`, after a fixed time.
   */
  testGiven(caller: Caller, input: GivenTestInput): Promise<TestOutput>;
}
