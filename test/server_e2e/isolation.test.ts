/**
 * What is somebody else's is, to everybody else, exactly what is not there at all: for every operation and every id
 * that it takes, alone and beside ids of one's own; and nothing of it is changed.
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
  /** Whose things they are. */
  readonly victim: Person;
  /** Ids that are no secret between the two, or that the attacker may act on. */
  readonly shared: readonly Slot[];
}

const RELATIONS: Readonly<Record<string, (server: InProcessServer) => Promise<Relation>>> = {
  'another user': async (server) => ({
    attacker: await person(server, { organization: 'acme', user: 'ann' }),
    victim: await person(server, { organization: 'acme', user: 'bob' }),
    // All of an organization may know its units.
    shared: ['organization', 'unit_id'],
  }),
  'another organization': async (server) => ({
    attacker: await person(server, { organization: 'acme', user: 'ann' }),
    victim: await person(server, { organization: 'globex', user: 'gus' }),
    shared: [],
  }),
  'another organization, to an administrator': async (server) => ({
    attacker: await person(server, { organization: 'acme', user: 'boss', scopes: [...SCOPES] }),
    victim: await person(server, { organization: 'globex', user: 'gus' }),
    // Makes a user of that name in their own organization.
    shared: ['user'],
  }),
  'another organization, with the same names': async (server) => ({
    attacker: await person(server, { organization: 'acme', user: 'ann' }),
    victim: await person(server, { organization: 'globex', user: 'ann' }),
    shared: ['user'],
  }),
  'another organization, to who runs the installation': async (server) => ({
    attacker: await person(server, { organization: 'local', user: 'me', scopes: [...SCOPES] }),
    victim: await person(server, { organization: 'globex', user: 'gus' }),
    // They make, list and revoke keys of every organization, and read its log; its credentials are not theirs.
    shared: ['organization', 'user', 'key_id'],
  }),
  'a user of theirs, to an administrator': async (server) => ({
    attacker: await person(server, { organization: 'acme', user: 'boss', scopes: [...SCOPES] }),
    victim: await person(server, { organization: 'acme', user: 'bob' }),
    // Stacks are their user's alone, whoever asks.
    shared: SLOTS.filter((slot) => slot !== 'stack_id'),
  }),
  'another stack, to a key for one stack': async (server) => {
    const victim = await person(server, { organization: 'acme', user: 'ann' });
    const { stack_id } = await fixturesOf(server, victim);
    return {
      attacker: await person(server, { organization: 'acme', user: 'ann', stack_id }),
      victim,
      shared: ['organization', 'user', 'user_id', 'unit_id'],
    };
  },
  'another service, to a key for one service': async (server) => ({
    attacker: await person(server, { organization: 'acme', user: 'ann', allowed_services: ['linear'] }),
    victim: await person(server, { organization: 'acme', user: 'ann' }),
    shared: ['organization', 'user', 'user_id', 'unit_id', 'stack_id'],
  }),
};

/** Things that the attacker may act on: within the bounds of its key, where it has any. */
async function ownThings(server: InProcessServer, { made, key }: Person): Promise<Fixtures> {
  const things = await fixturesOf(server, { made, key });
  if (made.stack_id === null) return things;
  const { vault } = server.tenants;
  const caller = await server.tenants.caller(key);
  const values = { host: 'db', username: 'app', password: 'p', database: 'app' };
  const { id } = await vault.credentials.create(caller, {
    service_id: 'postgresql',
    credential_type: 'user_password',
    credentials: values,
    name: things.name,
  });
  const { id: key_id } = await vault.api_keys.create(caller, { scopes: ['keys:write'] });
  return {
    ...things,
    stack_id: made.stack_id,
    credential_id: id,
    secret_id: id,
    key_id,
    name: `${things.name}b`,
  };
}

/** What somebody sees of these things; with `everything`, of all that is theirs. */
async function viewOf(
  server: InProcessServer,
  { key, made }: Person,
  things: Fixtures,
  everything: boolean,
): Promise<ReadonlyMap<string, string>> {
  const seen = new Map<string, string>();
  for (const read of OPERATIONS) {
    if (!/^(?:GET|tool (?:get|list)_)/.test(read.name) || /audit/.test(read.name)) continue;
    const slots = slotsOf(read, things);
    if (!everything && !slots.includes('stack_id') && !slots.includes('credential_id')) continue;
    const { status, text, area } = await server.ask(read.ask({ ...things, user: made.user }, key));
    // When a key was last used is noted while it is used.
    const body = (area === 'mcp' ? JSON.stringify(messageIn(text)) : text).replaceAll(
      /"last_used[^,}]*/g,
      '',
    );
    seen.set(read.name, `${status} ${body}`);
  }
  const { keys } = await server.tenants.vault.api_keys.list(memberOf(made));
  const spare = keys.find(({ id }) => id === things.key_id);
  return seen.set('the key', JSON.stringify({ ...spare, last_used_at: null }));
}

interface Mix {
  readonly mix: string;
  readonly theirs: Fixtures;
  /** The same with what nobody has. */
  readonly unknown: Fixtures;
}

/** Slots that take UUIDs, whose ids may be put in one for the other. */
const UUID_SLOTS: readonly Slot[] = ['user_id', 'unit_id', 'credential_id', 'key_id'];

/** The ways to put foreign ids among others: alone, all at once, beside what nobody has, in capitals, and swapped. */
function mixesOf(slots: readonly Slot[], own: Fixtures, foreign: Fixtures): Mix[] {
  const nobodys = unknownFixtures(own);
  const others = unknownFixtures(own);
  const pick = (from: Fixtures, chosen: readonly Slot[], rest: Fixtures): Fixtures => ({
    ...rest,
    ...Object.fromEntries(chosen.map((slot) => [slot, from[slot]])),
  });
  const beside = (slot: Slot, rest: Fixtures) => ({
    theirs: pick(foreign, [slot], rest),
    unknown: pick(nobodys, [slot], rest),
  });
  const alone = slots.flatMap((slot) => [
    { mix: `${slot} among one's own`, ...beside(slot, own) },
    { mix: `${slot} among unknown ones`, ...beside(slot, pick(others, slots, own)) },
  ]);
  const together = {
    mix: 'all of them',
    theirs: pick(foreign, slots, own),
    unknown: pick(nobodys, slots, own),
  };
  const swapped = slots
    .filter((slot) => UUID_SLOTS.includes(slot))
    .flatMap((slot) =>
      UUID_SLOTS.map((other) => ({
        mix: `${other} for ${slot}`,
        theirs: { ...own, [slot]: other === slot ? foreign[slot].toUpperCase() : foreign[other] },
        unknown: pick(nobodys, [slot], own),
      })),
    );
  return [...alone, together, ...swapped];
}

describe('an id', () => {
  test.each(Object.keys(RELATIONS))('that is of %s: answered as one that there is not', async (name) => {
    const server = await openInProcessServer();
    const make = RELATIONS[name];
    if (make === undefined) throw new Error('no such relation');
    const { attacker, victim, shared } = await make(server);
    const theirs = await fixturesOf(server, victim);
    // What one user makes with one key is in the lists of the other.
    const everything = attacker.made.user_id !== victim.made.user_id;
    const before = await viewOf(server, victim, theirs, everything);
    const entries = await entriesOf(server, victim);
    const differences: unknown[] = [];
    let asked = 0;
    for (const operation of OPERATIONS) {
      const slots = slotsOf(operation, theirs).filter((slot) => !shared.includes(slot));
      if (slots.length === 0) continue;
      const own = await ownThings(server, attacker);
      for (const { mix, theirs: foreign, unknown } of mixesOf(slots, own, theirs)) {
        const expected = await compared(server, operation, unknown, attacker);
        const answered = await compared(server, operation, foreign, attacker);
        asked += 2;
        if (!isDeepStrictEqual(expected, answered))
          differences.push({ operation: operation.name, mix, expected, answered });
      }
    }
    expect(differences).toEqual([]);
    if (attacker.made.organization !== victim.made.organization)
      expect(await entriesOf(server, victim)).toBe(entries);
    const after = await viewOf(server, victim, theirs, everything);
    expect([...before.keys()].filter((read) => after.get(read) !== before.get(read))).toEqual([]);
    console.log(`${name}: ${asked} requests, ${before.size} views`);
  });
});

/** How many entries the log of somebody's organization has. */
async function entriesOf({ tenants }: InProcessServer, { made }: Person): Promise<number | undefined> {
  const { entries } = await tenants.vault.listAudit(memberOf(made), {}, 1);
  return entries[0]?.position;
}

async function compared(
  server: InProcessServer,
  operation: Operation,
  things: Fixtures,
  { key }: Person,
): Promise<unknown> {
  const answer = await server.ask(operation.ask(things, key));
  return withoutPerResponseData(answer, [...new Set([things.stack_id, things.organization, things.name])]);
}

test('a stack of somebody else under a name of their choosing is as one that nobody has', async () => {
  const server = await openInProcessServer();
  const ann = await person(server, { organization: 'acme', user: 'ann' });
  const bob = await person(server, { organization: 'acme', user: 'bob' });
  const { vault } = server.tenants;
  const [theirs, nobodys] = ['chosen-by-bob', 'chosen-by-not'];
  const store = { service_id: 'linear', credentials: { linear_api_key: 'v' }, stack_id: theirs };
  const { credential_id } = await vault.update(memberOf(bob.made), store);
  const own = await fixturesOf(server, ann);
  for (const operation of OPERATIONS) {
    if (!slotsOf(operation, own).includes('stack_id')) continue;
    const expected = await compared(server, operation, { ...own, stack_id: nobodys }, ann);
    expect([operation.name, await compared(server, operation, { ...own, stack_id: theirs }, ann)]).toEqual([
      operation.name,
      expected,
    ]);
  }
  expect(await vault.status(memberOf(bob.made), { service_id: 'linear', stack_id: theirs })).toMatchObject({
    credential_id,
    status: 'active',
  });
});
