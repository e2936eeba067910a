/** Sharing costs nothing where nothing is shared: the reads of a status, counted. */
import { expect, test } from 'vitest';
import { countQueries } from '../../kit/vault/query_counter.ts';
import { openTestVault } from '../../kit/vault/temp_vault.ts';

const LINEAR = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' } as const;
/** The credential, its last use, its last test. */
const READS_OF_STATUS = 3;

test('a status reads no row for sharing if the stack is not shared', async () => {
  const { vault, caller } = await openTestVault();
  const { stack_id } = await vault.stacks.create(caller(), { stack_name: 'Production' });
  const reads: number[] = [];
  for (const stack of ['default', 'team', stack_id]) {
    await vault.store(caller(), { ...LINEAR, stack_id: stack });
    const queries = countQueries();
    await vault.status(caller(), { service_id: 'linear', stack_id: stack });
    reads.push(queries().reads);
  }
  // A created stack was read before sharing too, to find out that it exists.
  expect(reads).toEqual([READS_OF_STATUS, READS_OF_STATUS, READS_OF_STATUS + 1]);
});
