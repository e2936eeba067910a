/** Scopes: every operation with each scope alone, with all that it needs, and with all but one of them. */
import { expect, test } from 'vitest';
import { SCOPES, type Scope } from '../../src/contract/caller.ts';
import { openInProcessServer } from '../kit/http/in_process_server.ts';
import { type Fixtures, fixturesOf, type Person, person } from './fixtures.ts';
import { endOf, OPERATIONS } from './operations/operations.ts';

const DENIED: readonly string[] = ['403', 'FORBIDDEN'];
const A_TIMEOUT_MS = 120_000;
const OPERATIONS_OF_A_USER = 40;

test(
  'an operation succeeds for exactly the keys that have its scopes',
  async () => {
    const server = await openInProcessServer();
    // Keys are reused: no operation depends on the name of a key.
    const keys = new Map<string, string>();
    const keyWith = async (user: string, scopes: readonly Scope[]) => {
      const id = [user, ...scopes].join();
      const known = keys.get(id);
      const { key } =
        known === undefined ? await person(server, { user, scopes: [...scopes] }) : { key: known };
      keys.set(id, key);
      return key;
    };
    const people = new Map<string, Person>();
    for (const [at, operation] of OPERATIONS.entries()) {
      // Each request has a stack of its own, and a user has a limited number.
      const user = `user-${Math.floor(at / OPERATIONS_OF_A_USER)}`;
      const owner = people.get(user) ?? (await person(server, { user }));
      people.set(user, owner);
      const needed = operation.scopes;
      const sets = [
        ...SCOPES.map((scope) => [scope]),
        ...(needed.length > 1 ? [[...needed]] : []),
        ...needed.map((one) => SCOPES.filter((scope) => scope !== one)),
      ];
      let fixtures: Fixtures | undefined;
      for (const scopes of sets) {
        fixtures ??= await fixturesOf(server, owner);
        const response = await server.send(operation.request(fixtures, await keyWith(user, scopes)));
        const end = endOf(response);
        const missing = needed.find((scope) => !scopes.includes(scope));
        // A denied request changes nothing: the next one has the same records.
        if (missing === undefined) fixtures = undefined;
        const shown = [operation.name, scopes.join(' ')];
        expect([...shown, end, response.text]).toEqual([
          ...shown,
          missing === undefined ? String(operation.status) : expect.toBeOneOf([...DENIED]),
          missing === undefined ? response.text : expect.stringContaining(`needs the scope ${missing}`),
        ]);
      }
    }
  },
  A_TIMEOUT_MS,
);
