/**
 * Isolation: for every operation and every id it takes, an id of another user or organization gets exactly the response
 * of an unknown id, alone and combined with own ids, and the record of the other user is unchanged.
 */
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, test } from 'vitest';
import { SCOPES } from '../../src/contract/caller.ts';
import { type InProcessServer, openInProcessServer } from '../kit/http/in_process_server.ts';
import { withoutPerResponseData } from '../kit/http/response_equality.ts';
import {
  type Fixtures,
  fixturesOf,
  memberOf,
  type Person,
  person,
  SLOTS,
  type Slot,
  unknownFixtures,
} from './fixtures.ts';
import { messageIn, OPERATIONS, type Operation, slotsOf } from './operations/operations.ts';

interface Relation {
  readonly attacker: Person;
  /** The owner of the fixtures. */
  readonly victim: Person;
  /** Ids that the attacker may know or act on. */
  readonly shared: readonly Slot[];
}

const RELATIONS: Readonly<Record<string, (server: InProcessServer) => Promise<Relation>>> = {
  'another user': async (server) => ({
    attacker: await person(server, { organization: 'acme', user: 'ann' }),
    victim: await person(server, { organization: 'acme', user: 'bob' }),
    // Every user of an organization may know its units.
    shared: ['organization', 'unit_id'],
  }),
  'another organization': async (server) => ({
    attacker: await person(server, { organization: 'acme', user: 'ann' }),
    victim: await person(server, { organization: 'globex', user: 'gus' }),
    shared: [],
  }),
  'another organization, sent by an administrator,': async (server) => ({
    attacker: await person(server, { organization: 'acme', user: 'boss', scopes: [...SCOPES] }),
    victim: await person(server, { organization: 'globex', user: 'gus' }),
    // The attacker creates a user of that name in its own organization.
    shared: ['user'],
  }),
  'another organization with the same names': async (server) => ({
    attacker: await person(server, { organization: 'acme', user: 'ann' }),
    victim: await person(server, { organization: 'globex', user: 'ann' }),
    shared: ['user'],
  }),
  'another organization, sent by the operator,': async (server) => ({
    attacker: await person(server, { organization: 'local', user: 'me', scopes: [...SCOPES] }),
    victim: await person(server, { organization: 'globex', user: 'gus' }),
    // The operator creates, lists and revokes keys of every organization and reads its log, but not its credentials.
    shared: ['organization', 'user', 'key_id'],
  }),
  'a user of the same organization, sent by an administrator,': async (server) => ({
    attacker: await person(server, { organization: 'acme', user: 'boss', scopes: [...SCOPES] }),
    victim: await person(server, { organization: 'acme', user: 'bob' }),
    // Only its user has access to a stack.
    shared: SLOTS.filter((slot) => slot !== 'stack_id'),
  }),
  'another stack, sent with a key for one stack,': async (server) => {
    const victim = await person(server, { organization: 'acme', user: 'ann' });
    const { stack_id } = await fixturesOf(server, victim);
    return {
      attacker: await person(server, { organization: 'acme', user: 'ann', stack_id }),
      victim,
      shared: ['organization', 'user', 'user_id', 'unit_id'],
    };
  },
  'another service, sent with a key for one service,': async (server) => ({
    attacker: await person(server, { organization: 'acme', user: 'ann', allowed_services: ['linear'] }),
    victim: await person(server, { organization: 'acme', user: 'ann' }),
    shared: ['organization', 'user', 'user_id', 'unit_id', 'stack_id'],
  }),
};

/** Fixtures that the attacker may act on, within the restrictions of its key. */
async function ownFixtures(server: InProcessServer, { made, key }: Person): Promise<Fixtures> {
  const fixtures = await fixturesOf(server, { made, key });
  if (made.stack_id === null) return fixtures;
  const { vault } = server.tenants;
  const caller = await server.tenants.caller(key);
  const values = { host: 'db', username: 'app', password: 'p', database: 'app' };
  const { id } = await vault.credentials.create(caller, {
    service_id: 'postgresql',
    credential_type: 'user_password',
    credentials: values,
    name: fixtures.name,
  });
  // A user has at most 50 keys: the operations share one until one of them revokes it.
  const { keys } = await vault.api_keys.list(caller);
  const name = 'own key';
  const { id: key_id } =
    keys.find((one) => one.name === name) ??
    (await vault.api_keys.create(caller, { scopes: ['keys:write'], name }));
  return {
    ...fixtures,
    stack_id: made.stack_id,
    credential_id: id,
    secret_id: id,
    key_id,
    name: `${fixtures.name}b`,
  };
}

/** The responses that a person gets for these fixtures; with `everything`, for all records of the person. */
async function viewOf(
  server: InProcessServer,
  { key, made }: Person,
  fixtures: Fixtures,
  everything: boolean,
): Promise<ReadonlyMap<string, string>> {
  const seen = new Map<string, string>();
  for (const read of OPERATIONS) {
    if (!/^(?:GET|tool (?:get|list)_)/.test(read.name) || /audit/.test(read.name)) continue;
    const slots = slotsOf(read, fixtures);
    if (!everything && !slots.includes('stack_id') && !slots.includes('credential_id')) continue;
    const { status, text, area } = await server.send(read.request({ ...fixtures, user: made.user }, key));
    // Each use of a key changes its last_used_at.
    const body = (area === 'mcp' ? JSON.stringify(messageIn(text)) : text).replaceAll(
      /"last_used[^,}]*/g,
      '',
    );
    seen.set(read.name, `${status} ${body}`);
  }
  const { keys } = await server.tenants.vault.api_keys.list(memberOf(made));
  const other_key = keys.find(({ id }) => id === fixtures.key_id);
  return seen.set('the key', JSON.stringify({ ...other_key, last_used_at: null }));
}

interface Mix {
  readonly mix: string;
  readonly foreign: Fixtures;
  /** The same with ids that do not exist. */
  readonly unknown: Fixtures;
}

/** Slots that take UUIDs; an id of one may be sent in another. */
const UUID_SLOTS: readonly Slot[] = ['user_id', 'unit_id', 'credential_id', 'key_id'];

/** Ways to combine foreign ids with others: one, all, with unknown ids, in upper case, and swapped. */
function mixesOf(slots: readonly Slot[], own: Fixtures, foreign: Fixtures): Mix[] {
  const missing = unknownFixtures(own);
  const others = unknownFixtures(own);
  const pick = (from: Fixtures, chosen: readonly Slot[], rest: Fixtures): Fixtures => ({
    ...rest,
    ...Object.fromEntries(chosen.map((slot) => [slot, from[slot]])),
  });
  const single = (slot: Slot, rest: Fixtures) => ({
    foreign: pick(foreign, [slot], rest),
    unknown: pick(missing, [slot], rest),
  });
  const alone = slots.flatMap((slot) => [
    { mix: `${slot} among own ids`, ...single(slot, own) },
    { mix: `${slot} among unknown ids`, ...single(slot, pick(others, slots, own)) },
  ]);
  const together = {
    mix: 'all of them',
    foreign: pick(foreign, slots, own),
    unknown: pick(missing, slots, own),
  };
  const swapped = slots
    .filter((slot) => UUID_SLOTS.includes(slot))
    .flatMap((slot) =>
      UUID_SLOTS.map((other) => ({
        mix: `${other} for ${slot}`,
        foreign: { ...own, [slot]: other === slot ? foreign[slot].toUpperCase() : foreign[other] },
        unknown: pick(missing, [slot], own),
      })),
    );
  return [...alone, together, ...swapped];
}

describe('an id of another user or organization', () => {
  test.each(Object.keys(RELATIONS))('an id of %s gets the response of an unknown id', async (name) => {
    const server = await openInProcessServer();
    const make = RELATIONS[name];
    if (make === undefined) throw new Error('no such relation');
    const { attacker, victim, shared } = await make(server);
    const victim_fixtures = await fixturesOf(server, victim);
    // Records that one user creates with one key are in the lists of its other keys.
    const everything = attacker.made.user_id !== victim.made.user_id;
    const before = await viewOf(server, victim, victim_fixtures, everything);
    const entries = await entriesOf(server, victim);
    const differences: unknown[] = [];
    let sent = 0;
    for (const operation of OPERATIONS) {
      const slots = slotsOf(operation, victim_fixtures).filter((slot) => !shared.includes(slot));
      if (slots.length === 0) continue;
      const own = await ownFixtures(server, attacker);
      for (const { mix, foreign, unknown } of mixesOf(slots, own, victim_fixtures)) {
        const expected = await compared(server, operation, unknown, attacker);
        const actual = await compared(server, operation, foreign, attacker);
        sent += 2;
        if (!isDeepStrictEqual(expected, actual))
          differences.push({ operation: operation.name, mix, expected, actual });
      }
    }
    expect(differences).toEqual([]);
    if (attacker.made.organization !== victim.made.organization)
      expect(await entriesOf(server, victim)).toBe(entries);
    const after = await viewOf(server, victim, victim_fixtures, everything);
    expect([...before.keys()].filter((read) => after.get(read) !== before.get(read))).toEqual([]);
    console.log(`${name}: ${sent} requests, ${before.size} views`);
  });
});

/** The number of entries in the log of the person's organization. */
async function entriesOf({ tenants }: InProcessServer, { made }: Person): Promise<number | undefined> {
  const { entries } = await tenants.vault.listAudit(memberOf(made), {}, 1);
  return entries[0]?.position;
}

async function compared(
  server: InProcessServer,
  operation: Operation,
  fixtures: Fixtures,
  { key }: Person,
): Promise<unknown> {
  const response = await server.send(operation.request(fixtures, key));
  return withoutPerResponseData(response, [
    ...new Set([fixtures.stack_id, fixtures.organization, fixtures.name]),
  ]);
}

test('a stack that another user named gets the response of an unknown stack', async () => {
  const server = await openInProcessServer();
  const ann = await person(server, { organization: 'acme', user: 'ann' });
  const bob = await person(server, { organization: 'acme', user: 'bob' });
  const { vault } = server.tenants;
  const [foreign, missing] = ['chosen-by-bob', 'chosen-by-not'];
  const store = { service_id: 'linear', credentials: { linear_api_key: 'v' }, stack_id: foreign };
  const { credential_id } = await vault.update(memberOf(bob.made), store);
  const own = await fixturesOf(server, ann);
  for (const operation of OPERATIONS) {
    if (!slotsOf(operation, own).includes('stack_id')) continue;
    const expected = await compared(server, operation, { ...own, stack_id: missing }, ann);
    expect([operation.name, await compared(server, operation, { ...own, stack_id: foreign }, ann)]).toEqual([
      operation.name,
      expected,
    ]);
  }
  expect(await vault.status(memberOf(bob.made), { service_id: 'linear', stack_id: foreign })).toMatchObject({
    credential_id,
    status: 'active',
  });
});
