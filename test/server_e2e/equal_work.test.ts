/** An id of another user and an unknown id cause the same reads, decryptions, writes and response time. */
import { describe, expect, test } from 'vitest';
import { openInProcessServer, toRequest } from '../kit/http/in_process_server.ts';
import { countDecryptions } from '../kit/vault/decrypt_counter.ts';
import { countQueries } from '../kit/vault/query_counter.ts';
import { type Fixtures, fixturesOf, person, type Slot, unknownFixtures } from './fixtures.ts';
import { OPERATIONS, type Operation, slotsOf } from './operations/operations.ts';

const ROUNDS = 3;
const TIMED = 400;
/** Generous: the test detects a different code path, not the noise of a busy machine. */
const MEDIANS_DIFFER_AT_MOST = 0.25;
const MEDIANS_DIFFER_AT_MOST_MS = 0.2;

/** Ids that every user of an organization may know. */
const SHARED: readonly Slot[] = ['organization', 'unit_id'];
/** Random, unlike ids with a time in them: only their user knows them. */
const RANDOM: readonly Slot[] = ['approval_id', 'handle'];

async function twoPeople(organization_of_bob: string) {
  const server = await openInProcessServer();
  const ann = await person(server, { organization: 'acme', user: 'ann' });
  const bob = await person(server, { organization: organization_of_bob, user: 'bob' });
  const own = await fixturesOf(server, ann);
  const foreign = await fixturesOf(server, bob);
  // The first use of a key is recorded, which would count as a write.
  await server.send({ method: 'GET', path: '/v1/me', key: ann.key });
  return { server, ann, own, foreign };
}

describe('an id of another user', () => {
  test.each(['acme', 'globex'])(
    'an id of a user in organization %s causes the same work as an unknown id',
    async (organization) => {
      const { server, ann, own, foreign } = await twoPeople(organization);
      const decryptions = countDecryptions();
      const work = countQueries();
      const measure = async (operation: Operation, fixtures: Fixtures) => {
        decryptions();
        work();
        await server.send(operation.request(fixtures, ann.key));
        return { decryptions: decryptions(), ...work() };
      };
      const differences: unknown[] = [];
      let measured = 0;
      for (const operation of OPERATIONS) {
        for (const slot of slotsOf(operation, own)) {
          if (organization === 'acme' && [...SHARED, ...RANDOM].includes(slot)) continue;
          const unknown = unknownFixtures(own);
          const expected: Work[] = [];
          const actual: Work[] = [];
          for (let round = 0; round <= ROUNDS; round++) {
            const of_unknown = await measure(operation, { ...own, [slot]: unknown[slot] });
            const of_foreign = await measure(operation, { ...own, [slot]: foreign[slot] });
            // The first round follows the writes of another operation, which invalidate caches.
            if (round === 0) continue;
            expected.push(of_unknown);
            actual.push(of_foreign);
          }
          measured++;
          if (JSON.stringify(least(expected)) !== JSON.stringify(least(actual)))
            differences.push({ operation: operation.name, slot, expected, actual });
        }
      }
      expect(differences).toEqual([]);
      expect(measured).toBeGreaterThan(40);
    },
  );

  test.each([
    'GET /integrations/credentials/{credential_id}',
    'GET /api/v1/credential/{id}',
    'GET /v1/stacks/{stack_id}',
    'GET /v1/stacks/{stack_id}/servers/{server_id}/credentials',
    'tool get_credential_status',
  ])('an id of another user takes as long as an unknown id in %s', async (name) => {
    const { server, ann, own, foreign } = await twoPeople('globex');
    const operation = OPERATIONS.find((one) => one.name === name);
    if (operation === undefined) throw new Error('no such operation');
    const time = async (fixtures: Fixtures) => {
      const request = toRequest(operation.request(fixtures, ann.key));
      const began = performance.now();
      await (await server.fetch(request)).text();
      return performance.now() - began;
    };
    const unknown_ms: number[] = [];
    const foreign_ms: number[] = [];
    for (let round = -TIMED / 4; round < TIMED; round++) {
      const missing = unknownFixtures(own);
      const times = [await time(missing), await time(foreign)] as const;
      // The first rounds warm up.
      if (round < 0) continue;
      unknown_ms.push(times[0]);
      foreign_ms.push(times[1]);
    }
    const [one, other] = [median(unknown_ms), median(foreign_ms)];
    const allowed_ms = Math.max(MEDIANS_DIFFER_AT_MOST_MS, Math.min(one, other) * MEDIANS_DIFFER_AT_MOST);
    expect(Math.abs(one - other), `${one} ms and ${other} ms`).toBeLessThan(allowed_ms);
  });
});

interface Work {
  readonly decryptions: number;
  readonly reads: number;
  readonly writes: number;
}

/** The least of each figure: background work adds to some rounds. */
function least(all: readonly Work[]): Work {
  const of = (pick: (work: Work) => number) => Math.min(...all.map(pick));
  return {
    decryptions: of(({ decryptions }) => decryptions),
    reads: of(({ reads }) => reads),
    writes: of(({ writes }) => writes),
  };
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}
