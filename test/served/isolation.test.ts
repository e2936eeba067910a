/**
 * What is somebody else's is, to everybody else, exactly what is not there at all: for every operation and every id
 * that it takes, alone and beside ids of one's own; and nothing of it is changed.
 */
import { describe, expect, test } from 'vitest';
import { SCOPES } from '../../src/contract/caller.ts';
import { comparable } from '../kit/same_answer.ts';
import { openWholeServer, type WholeServer } from '../kit/whole_server.ts';
import { messageIn, OPERATIONS, type Operation, slotsOf, toolCall } from './operations.ts';
import { nobodysThings, type Person, person, type Slot, type Things, thingsOf } from './world.ts';

interface Relation {
  readonly attacker: Person;
  /** Whose things they are. */
  readonly victim: Person;
  /** Ids that are no secret between the two, or that the attacker may act on. */
  readonly shared: readonly Slot[];
}

const everything = [...SCOPES];

const RELATIONS: Readonly<Record<string, (server: WholeServer) => Promise<Relation>>> = {
  "another user's": async (server) => ({
    attacker: await person(server, { organization: 'acme', user: 'ann' }),
    victim: await person(server, { organization: 'acme', user: 'bob' }),
    // All of an organization may know its units.
    shared: ['organization', 'unit_id'],
  }),
  "another organization's": async (server) => ({
    attacker: await person(server, { organization: 'acme', user: 'ann' }),
    victim: await person(server, { organization: 'globex', user: 'gus' }),
    shared: [],
  }),
  "another organization's, to an administrator": async (server) => ({
    attacker: await person(server, { organization: 'acme', user: 'boss', scopes: everything }),
    victim: await person(server, { organization: 'globex', user: 'gus' }),
    // Makes a user of that name in their own organization.
    shared: ['user'],
  }),
  "another organization's with the same names": async (server) => ({
    attacker: await person(server, { organization: 'acme', user: 'ann' }),
    victim: await person(server, { organization: 'globex', user: 'ann' }),
    shared: ['user'],
  }),
  "another organization's, to who runs the installation": async (server) => ({
    attacker: await person(server, { organization: 'local', user: 'me', scopes: everything }),
    victim: await person(server, { organization: 'globex', user: 'gus' }),
    // They make, list and revoke keys of every organization, and read its log; its credentials are not theirs.
    shared: ['organization', 'user', 'key_id'],
  }),
  "another stack's, to a key for one stack": async (server) => {
    const victim = await person(server, { organization: 'acme', user: 'ann' });
    const { stack_id } = await thingsOf(server, victim);
    return {
      attacker: await person(server, { organization: 'acme', user: 'ann', stack_id }),
      victim,
      shared: ['organization', 'user', 'user_id', 'unit_id'],
    };
  },
  "another service's, to a key for one service": async (server) => ({
    attacker: await person(server, { organization: 'acme', user: 'ann', allowed_services: ['linear'] }),
    victim: await person(server, { organization: 'acme', user: 'ann' }),
    shared: ['organization', 'user', 'user_id', 'unit_id', 'stack_id'],
  }),
};

/** Things that the attacker may act on: within the bounds of its key, where it has any. */
async function ownThings(server: WholeServer, { made, key }: Person): Promise<Things> {
  const things = await thingsOf(server, { made, key });
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

/** All that somebody can see of their own things. Reads are answered alike however often they are asked. */
async function viewOf(server: WholeServer, { key, made }: Person, things: Things): Promise<unknown> {
  const reads = OPERATIONS.filter(
    ({ name }) => name.startsWith('GET ') || /^tool (?:get|list)_/.test(name),
  ).filter(({ name }) => !/audit/.test(name));
  const seen: unknown[] = [];
  for (const read of reads) {
    const { status, text, area } = await server.ask(read.ask({ ...things, user: made.user }, key));
    // When a key was last used is noted while it is used.
    const stable = (area === 'mcp' ? JSON.stringify(messageIn(text)) : text).replaceAll(
      /"last_used[^,}]*/g,
      '',
    );
    seen.push([read.name, status, stable]);
  }
  return seen;
}

interface Mix {
  readonly mix: string;
  readonly theirs: Things;
  /** The same with what nobody has. */
  readonly unknown: Things;
}

/** Slots that take UUIDs, whose ids may be put in one for the other. */
const UUID_SLOTS: readonly Slot[] = ['user_id', 'unit_id', 'credential_id', 'key_id'];

/** The ways to put foreign ids among others: alone, all at once, beside what nobody has, in capitals, and swapped. */
function mixesOf(slots: readonly Slot[], own: Things, foreign: Things, nobodys: Things): Mix[] {
  const pick = (from: Things, chosen: readonly Slot[], rest: Things): Things => ({
    ...rest,
    ...Object.fromEntries(chosen.map((slot) => [slot, from[slot]])),
  });
  const all_unknown = pick(nobodys, slots, own);
  const alone = slots.flatMap((slot) => [
    {
      mix: `${slot} among one's own`,
      theirs: pick(foreign, [slot], own),
      unknown: pick(nobodys, [slot], own),
    },
    { mix: `${slot} among unknown ones`, theirs: pick(foreign, [slot], all_unknown), unknown: all_unknown },
  ]);
  const swapped = slots
    .filter((slot) => UUID_SLOTS.includes(slot))
    .flatMap((slot) =>
      UUID_SLOTS.map((other) => ({
        mix: `${other} for ${slot}`,
        theirs: { ...own, [slot]: other === slot ? foreign[slot].toUpperCase() : foreign[other] },
        unknown: pick(nobodys, [slot], own),
      })),
    );
  return [
    ...alone,
    { mix: 'all of them', theirs: pick(foreign, slots, own), unknown: all_unknown },
    ...swapped,
  ];
}

describe('an id', () => {
  test.each(Object.keys(RELATIONS))('of %s thing is answered as one that there is not', async (name) => {
    const server = await openWholeServer();
    const make = RELATIONS[name];
    if (make === undefined) throw new Error('no such relation');
    const { attacker, victim, shared } = await make(server);
    const theirs = await thingsOf(server, victim);
    const before = await viewOf(server, victim, theirs);
    const differences: unknown[] = [];
    let asked = 0;
    for (const operation of OPERATIONS) {
      const slots = slotsOf(operation, theirs).filter((slot) => !shared.includes(slot));
      if (slots.length === 0) continue;
      const own = await ownThings(server, attacker);
      const nobodys = nobodysThings(own);
      for (const { mix, theirs: foreign, unknown } of mixesOf(slots, own, theirs, nobodys)) {
        const answers = [
          await compared(server, operation, unknown, attacker),
          await compared(server, operation, foreign, attacker),
        ];
        asked += 2;
        if (JSON.stringify(answers[0]) !== JSON.stringify(answers[1]))
          differences.push([operation.name, mix, ...answers]);
      }
    }
    expect(differences).toEqual([]);
    expect(await viewOf(server, victim, theirs)).toEqual(before);
    console.log(`${name}: ${asked} requests`);
  });
});

async function compared(
  server: WholeServer,
  operation: Operation,
  things: Things,
  { key }: Person,
): Promise<unknown> {
  const answer = await server.ask(operation.ask(things, key));
  return comparable(answer, [...new Set([things.stack_id, things.organization, things.name])]);
}
