/**
 * Random requests generated from the OpenAPI document. For each of them: no internal error, a response that the document
 * describes, and no stored value in the response or the log. A failure is shrunk; `SEED=...` repeats the requests.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SCOPES, type Scope } from '../../src/contract/caller.ts';
import { type Canary, findCanary, newCanary } from '../kit/canary.ts';
import {
  type InProcessServer,
  openInProcessServer,
  type TestRequest,
} from '../kit/http/in_process_server.ts';
import type { Pools } from '../kit/http/schema_arbitrary.ts';
import { IS_QUICK, runSize } from '../kit/run_size.ts';
import { type Fixtures, fixturesOf, type Person, person } from './fixtures.ts';
import { OPERATIONS } from './operations/operations.ts';
import { anyRequest } from './requests.ts';

const REQUESTS = runSize({ quick: 600, ci: 3_000, slow: 20_000 });
/** Then a new vault, so that lists stay short. */
const REQUESTS_PER_VAULT = Math.min(REQUESTS, 1_000);
const TIMEOUT_MS = 600_000;
const SEED = Number(process.env.SEED ?? Date.now() % 2 ** 31);
/** Enough that some exist after others were deleted. */
const FIXTURES_KEPT = 12;

const VALUE_FIELDS = ['linear_api_key', 'host', 'username', 'password', 'database', 'api_key', 'port'];

function poolsOf(fixtures: readonly Fixtures[], { value }: Canary): Pools {
  const all = <Name extends keyof Fixtures>(name: Name) => fixtures.map((one) => one[name]);
  const ids = [...all('credential_id'), ...all('user_id'), ...all('unit_id'), ...all('key_id')];
  const services = ['linear', 'gmail', 'postgresql', 'openai', 'sftp', 'no-such-service'];
  const stacks = [...all('stack_id'), 'default', 'work', 'stack_none'];
  return {
    '*': ['x', ...ids, ...services, ...stacks],
    service_id: services,
    server_id: services,
    provider: services,
    allowed_services: services,
    stack_id: stacks,
    credential_id: all('credential_id'),
    record_id: ids,
    id: ids,
    secretId: all('credential_id'),
    userId: all('user_id'),
    unityId: all('unit_id'),
    unit: [...all('unit_id'), 'default'],
    integrationId: all('integration_id'),
    organization: ['acme', 'globex', 'local', 'none'],
    user: ['ann', 'gus', 'me', 'new'],
    name: ['a', 'b', 'Work (2)', 'PostgreSQL'],
    stack_name: ['Production', 'ü'],
    credential_value: [value, 'v', 'sealed:AAAA', 'env://HOME'],
    password: [value],
    connection_string: [value],
    private_key_data: [value],
    private_key_passphrase: [value],
    since: ['2026-01-01', 'yesterday', '2026-01-01T00:00:00Z'],
    until: ['2030-01-01', '9999-99-99'],
    'credentials keys': VALUE_FIELDS,
    'credentials values': [value, 'v', '5432'],
  };
}

interface Target {
  readonly server: InProcessServer;
  readonly requests: fc.Arbitrary<TestRequest>;
  readonly canary: Canary;
}

/** A vault with canaries stored through every dialect, and three people with nearly all scopes. */
async function newTarget(): Promise<Target> {
  const server = await openInProcessServer();
  const canary = newCanary();
  const may = SCOPES.filter((scope) => scope !== 'values:reveal');
  const people = [
    await person(server, { organization: 'acme', user: 'ann', scopes: without(may, 'org:admin') }),
    await person(server, { organization: 'globex', user: 'gus', scopes: [...may] }),
    await person(server, { organization: 'local', user: 'me', scopes: [...may] }),
  ];
  const fixtures = new Map<Person, Fixtures[]>();
  for (const one of people) {
    const own: Fixtures[] = [];
    for (const operation of OPERATIONS) {
      const some = await fixturesOf(server, one, canary.value);
      own.push(some);
      // Every operation that takes a value.
      if (JSON.stringify(operation.request(some)).includes(canary.word))
        await server.send(operation.request(some, one.key));
    }
    fixtures.set(one, own.slice(-FIXTURES_KEPT));
  }
  const others = (one: Person) =>
    people.filter((other) => other !== one).flatMap((other) => fixtures.get(other) ?? []);
  const requests = people.map((one) => {
    const pools = poolsOf([...(fixtures.get(one) ?? []), ...others(one).slice(0, 2)], canary);
    return anyRequest(server.validator, pools, one.key);
  });
  return { server, canary, requests: fc.oneof(...requests) };
}

function without(scopes: readonly Scope[], removed: Scope): Scope[] {
  return scopes.filter((scope) => scope !== removed);
}

async function holds({ server, canary }: Target, request: TestRequest): Promise<number> {
  server.log.length = 0;
  const { status, text, headers } = await server.send(request);
  if (status >= 500) throw new Error(`${status} ${text} ${JSON.stringify(server.log)}`);
  const seen = `${text}${JSON.stringify([...headers])}${JSON.stringify(server.log)}`;
  expect(findCanary(seen, canary)).toEqual([]);
  return status;
}

test(
  `${REQUESTS} random requests get responses that the OpenAPI document describes`,
  async () => {
    const ends = new Map<number, number>();
    for (let done = 0; done < REQUESTS; done += REQUESTS_PER_VAULT) {
      const target = await newTarget();
      const property = fc.asyncProperty(target.requests, async (request) => {
        const status = await holds(target, request);
        ends.set(status, (ends.get(status) ?? 0) + 1);
      });
      await fc.assert(property, { numRuns: REQUESTS_PER_VAULT, seed: SEED + done, endOnFailure: false });
    }
    const counted = [...ends].sort(([a], [b]) => a - b).map(([status, count]) => `${status}: ${count}`);
    console.log(`${REQUESTS} requests, SEED=${SEED}; ${counted.join(', ')}`);
    // The requests included every kind: valid and rejected. Too few of a quick run are of the rare ones.
    const rare = IS_QUICK ? [] : [201, 204, 401, 405, 415];
    for (const status of [200, 400, 403, 404, 422, ...rare]) expect([...ends.keys()]).toContain(status);
  },
  TIMEOUT_MS,
);
