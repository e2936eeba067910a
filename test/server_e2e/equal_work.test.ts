/**
 * What somebody else has is not told by the work that an answer takes either: not by what is read, opened or written,
 * nor by the time.
 */
import { describe, expect, test } from 'vitest';
import { openInProcessServer, toRequest } from '../kit/http/in_process_server.ts';
import { countDecryptions } from '../kit/vault/decrypt_counter.ts';
import { countQueries } from '../kit/vault/query_counter.ts';
import { type Fixtures, fixturesOf, person, type Slot, unknownFixtures } from './fixtures.ts';
import { OPERATIONS, type Operation, slotsOf } from './operations/operations.ts';

const ROUNDS = 3;
const TIMED = 400;
/** Generous: what is to be found is an answer that takes another way, not one that takes it on a busy machine. */
const MEDIANS_DIFFER_AT_MOST = 0.25;
const MEDIANS_DIFFER_AT_MOST_MS = 0.2;

/** Which ids are no secret within an organization. */
const SHARED: readonly Slot[] = ['organization', 'unit_id'];

async function twoPeople(organization_of_bob: string) {
  const server = await openInProcessServer();
  const ann = await person(server, { organization: 'acme', user: 'ann' });
  const bob = await person(server, { organization: organization_of_bob, user: 'bob' });
  const own = await fixturesOf(server, ann);
  const theirs = await fixturesOf(server, bob);
  // The first use of a key is noted.
  await server.ask({ method: 'GET', path: '/v1/me', key: ann.key });
  return { server, ann, own, theirs };
}

describe('an id of somebody else', () => {
  test.each(['acme', 'globex'])(
    'in %s takes the same work as one that there is not',
    async (organization) => {
      const { server, ann, own, theirs } = await twoPeople(organization);
      const openings = countDecryptions();
      const work = countQueries();
      const measure = async (operation: Operation, things: Fixtures) => {
        openings();
        work();
        await server.ask(operation.ask(things, ann.key));
        return { openings: openings(), ...work() };
      };
      const differences: unknown[] = [];
      let measured = 0;
      for (const operation of OPERATIONS) {
        for (const slot of slotsOf(operation, own)) {
          if (organization === 'acme' && SHARED.includes(slot)) continue;
          const unknown = unknownFixtures(own);
          const expected: Work[] = [];
          const actual: Work[] = [];
          for (let round = 0; round <= ROUNDS; round++) {
            const of_unknown = await measure(operation, { ...own, [slot]: unknown[slot] });
            const of_theirs = await measure(operation, { ...own, [slot]: theirs[slot] });
            // The first comes after another operation, whose writes have others look again at what they remember.
            if (round === 0) continue;
            expected.push(of_unknown);
            actual.push(of_theirs);
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
  ])('takes %s as long as one that there is not', async (name) => {
    const { server, ann, own, theirs } = await twoPeople('globex');
    const operation = OPERATIONS.find((one) => one.name === name);
    if (operation === undefined) throw new Error('no such operation');
    const time = async (things: Fixtures) => {
      const request = toRequest(operation.ask(things, ann.key));
      const began = performance.now();
      await (await server.fetch(request)).text();
      return performance.now() - began;
    };
    const unknown: number[] = [];
    const foreign: number[] = [];
    for (let round = -TIMED / 4; round < TIMED; round++) {
      const nobodys = unknownFixtures(own);
      const times = [await time(nobodys), await time(theirs)] as const;
      // The first ones warm up.
      if (round < 0) continue;
      unknown.push(times[0]);
      foreign.push(times[1]);
    }
    const [one, other] = [median(unknown), median(foreign)];
    const allowed_ms = Math.max(MEDIANS_DIFFER_AT_MOST_MS, Math.min(one, other) * MEDIANS_DIFFER_AT_MOST);
    expect(Math.abs(one - other), `${one} ms and ${other} ms`).toBeLessThan(allowed_ms);
  });
});

interface Work {
  readonly openings: number;
  readonly reads: number;
  readonly writes: number;
}

/** Without what is done beside a request now and then. */
function least(all: readonly Work[]): Work {
  const of = (pick: (work: Work) => number) => Math.min(...all.map(pick));
  return {
    openings: of(({ openings }) => openings),
    reads: of(({ reads }) => reads),
    writes: of(({ writes }) => writes),
  };
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}
