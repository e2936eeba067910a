/** Texts of a hostile service definition at the prompts, in a real terminal: none of them controls it. */
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { httpServer } from '../client/misbehaving_server.ts';
import { newHome, removeHome } from '../kit/child/cli.ts';
import { HAS_SCRIPT, runInTerminal, SOURCE_PROGRAM, type Typed } from '../kit/child/terminal.ts';
import { ACME } from '../kit/vault/custom_service.ts';

const TIMEOUT_MS = 60_000;
/** Writes to the clipboard, clears the screen, moves the cursor home, reports as C1, and forges a prompt. */
const ATTACK =
  '\u001b]52;c;ZXZpbA==\u0007\u001b[2J\u001b[H\u009b2J\r\nPassphrase of the vault: \u001b[35;5m\u202eevil';
const FIELD = { description: 'd', required: true, secret: true, max_length: 100 };
const HOSTILE = {
  ...ACME,
  id: '01890a5d-0000-7000-8000-0000000000ac',
  name: `Acme${ATTACK}`,
  description: ATTACK,
  fields: [
    { ...FIELD, field_id: 'acme_key', name: `Key${ATTACK}`, help_url: `https://acme.example/${ATTACK}` },
    { ...FIELD, field_id: 'acme_id', name: `Id${ATTACK}`, secret: false, pattern: '^[0-9]+$' },
  ],
};

let home: string;
beforeEach(() => {
  home = newHome();
});
afterEach(() => removeHome(home));

function expectHarmless(shown: string): void {
  // Shown, so that the test does not pass because nothing was.
  expect(shown).toContain('Acme');
  for (const sequence of ['\u001b]', '\u0007', '\u001b[2J', '\u001b[H', '\u001b[35;5m', '\u009b', '\u202e'])
    expect([sequence, shown.includes(sequence)]).toEqual([sequence, false]);
  expect(shown).not.toMatch(/^Passphrase/m);
}

/** A server whose every response has the attack. */
function startHostileServer() {
  return httpServer((request, response) => {
    const bodies: Record<string, object> = {
      'GET /v1/service-definitions': { services: [HOSTILE] },
      'GET /v1/credentials': {
        status: 'active',
        credentials: [{ service_id: 'acme', name: ATTACK }],
        required_credentials: [{ field_id: `acme_key${ATTACK}`, name: ATTACK, status: 'missing' }],
        optional_credentials: [],
      },
      'PUT /v1/credentials': { success: true, credential_id: ATTACK },
      'POST /v1/credentials/update': {
        updated_fields: [`acme_key${ATTACK}`],
        required_credentials: [{ field_id: `acme_id${ATTACK}`, name: ATTACK, status: 'missing' }],
        optional_credentials: [],
        all_credentials_added: false,
        required_credentials_added: false,
      },
    };
    const [target] = (request.url ?? '').split('?');
    const body = bodies[`${request.method} ${target}`];
    response.writeHead(body === undefined ? 404 : 200, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify(body ?? { detail: ATTACK, code: 'NOT_FOUND' }));
  });
}

async function runAgainst(url: string, argv: string, typed: readonly Typed[]) {
  const env = {
    KEYHOLD_HOME: home,
    KEYHOLD_URL: url,
    KEYHOLD_API_KEY: `kh_${'0'.repeat(32)}_${'A'.repeat(43)}`,
  };
  return runInTerminal(`${SOURCE_PROGRAM} ${argv}`, typed, env);
}

describe.runIf(HAS_SCRIPT)('the texts of a hostile definition in a real terminal', () => {
  test.each<readonly [argv: string, typed: readonly Typed[]]>([
    [
      'store acme',
      [
        [/Acme\S*: Key|Acme.*Key/s, 'v\r'],
        [/Id/, '12\r'],
      ],
    ],
    [
      'store acme with a value that is refused',
      [
        [/Acme.*Key/s, 'v\r'],
        [/Id/, 'x\r'],
        [/Id.*Id/s, '12\r'],
      ],
    ],
    [
      'store acme without a value',
      [
        [/Acme.*Key/s, '\r'],
        [/Key.*Key/s, 'v\r'],
        [/Id/, '12\r'],
      ],
    ],
    [
      'update acme',
      [
        [/Acme.*Key/s, 'v\r'],
        [/Id/, '12\r'],
      ],
    ],
    ['update acme acme_key', [[/Acme.*Key/s, 'v\r']]],
    ['delete acme', [[/Delete/, 'y']]],
  ])(
    '%s of a hostile server lets no control sequence through',
    { timeout: TIMEOUT_MS },
    async (argv, typed) => {
      const server = await startHostileServer();
      const { shown } = await runAgainst(server.url, argv.replace(/ with.*/, ''), typed);
      expectHarmless(shown);
    },
  );

  test('the list of services of a hostile server lets no control sequence through', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const server = await startHostileServer();
    for (const argv of ['store', 'services list', 'services show acme', 'status acme']) {
      const { shown } = await runAgainst(server.url, argv, [[/Which service/, '\u0003']]);
      expectHarmless(shown);
    }
  });

  test.each([
    ['a definition', { ...ACME, name: `Acme${ATTACK}` }],
    ['the label of a field', { ...ACME, fields: [{ ...ACME.fields[0], name: ATTACK }] }],
    [
      'the help URL of a field',
      { ...ACME, fields: [{ ...ACME.fields[0], help_url: `https://x/${ATTACK}` }] },
    ],
    [
      'the title of a server.json',
      {
        $schema: 'https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json',
        name: 'io.example/acme',
        title: `Acme${ATTACK}`,
        description: 'Acme.',
        version: '1.0.0',
      },
    ],
  ])(
    'services add refuses %s with control sequences and shows none',
    { timeout: TIMEOUT_MS },
    async (_, json) => {
      const file = path.join(path.dirname(home), 'Acme.json');
      fs.writeFileSync(file, JSON.stringify(json));
      const { code, shown } = await runInTerminal(`${SOURCE_PROGRAM} services add ${file}`, [[/\?/, 'n']], {
        KEYHOLD_HOME: home,
      });
      expect(code).not.toBe(0);
      expectHarmless(shown);
    },
  );
});

describe.skipIf(HAS_SCRIPT)('the texts of a hostile definition without `script` of util-linux', () => {
  test.skip('the prompts are not tested in a real terminal', () => {});
});
