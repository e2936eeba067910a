/** Commands against a server that sends control characters in every text. None of them may reach the terminal. */
import type { IncomingMessage } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { httpServer } from '../client/misbehaving_server.ts';
import { keyhold, newHome, removeHome } from '../kit/child/cli.ts';

/** Clears the screen (7-bit and 8-bit control sequences), reverses the direction of the text, forges a line. */
const EVIL = 'evil\u001b[2J\u009b2J\u202e\u0007\nforged line';
const UNPRINTABLE = /[\p{Cc}\u202e]/u;
const KEY_ID = '01a2b3c4-5d6e-7f80-9a1b-2c3d4e5f6071';

const STATUS = {
  required_credentials: { [EVIL]: 'missing', other: EVIL },
  optional_credentials: { [EVIL]: EVIL },
  all_credentials_added: false,
  required_credentials_added: false,
  credential_id: EVIL,
  status: EVIL,
  credential_type: EVIL,
  updated_at: '2026-01-01T00:00:00.000Z',
  modified_by: EVIL,
  expires_at: null,
  last_used_at: null,
  last_test: null,
};
const API_KEY = {
  id: EVIL,
  key: EVIL,
  key_prefix: EVIL,
  name: EVIL,
  organization: EVIL,
  organization_id: EVIL,
  user: EVIL,
  user_id: EVIL,
  unit_id: EVIL,
  scopes: [EVIL],
  stack_id: EVIL,
  permissions: { allowed_services: [EVIL], allowed_tools: [EVIL] },
  created_at: EVIL,
  expires_at: `2${EVIL}`,
  last_used_at: EVIL,
};
const UNIT = { id: EVIL, name: EVIL, created_at: EVIL };
const USER = { id: EVIL, name: EVIL, unit_id: EVIL };
const SERVICE = {
  id: KEY_ID,
  slug: 'evil',
  name: EVIL,
  description: EVIL,
  category: EVIL,
  aliases: [EVIL],
  homepage: EVIL,
  fields: [
    {
      field_id: 'evil',
      name: EVIL,
      description: EVIL,
      required: true,
      secret: true,
      env: EVIL,
      max_length: 9,
    },
  ],
  value_field: { bearer: 'evil' },
  credential_types: ['bearer'],
  hosts: [EVIL],
};

const BODIES: Readonly<Record<string, unknown>> = {
  'GET /readyz': { status: 'ready' },
  'GET /v1/me': { user: EVIL, organization: EVIL, scopes: ['credentials:read', EVIL], server_version: EVIL },
  'GET /v1/public-key': { public_key: EVIL, organization: EVIL, user: EVIL },
  'GET /v1/stacks': [
    { stack_id: EVIL, stack_name: `${EVIL}2`, servers: [{ server_name: EVIL }], updated_at: EVIL },
  ],
  'GET /v1/units': { units: [UNIT] },
  'POST /v1/units': UNIT,
  'GET /v1/users': { users: [USER], more: true },
  'POST /v1/users/remove': USER,
  'GET /v1/api-keys': [API_KEY],
  'POST /v1/api-keys': API_KEY,
  [`POST /v1/api-keys/${KEY_ID}/rotate`]: API_KEY,
  'GET /v1/service-definitions': { services: [SERVICE] },
  'PUT /v1/credentials': { success: true, credential_id: EVIL },
  'POST /v1/credentials/update': { ...STATUS, updated_fields: [EVIL] },
  'POST /v1/credentials/delete': { success: true },
  'GET /v1/audit/verify': {
    ok: false,
    entries: EVIL,
    credentials: EVIL,
    findings: [{ message: EVIL, credential_id: EVIL }],
  },
  'GET /v1/audit': {
    entries: [
      {
        position: EVIL,
        at: EVIL,
        user: EVIL,
        edge: EVIL,
        claimed_client: EVIL,
        action: EVIL,
        service_id: EVIL,
        name: EVIL,
        stack_id: EVIL,
        fields: [EVIL],
        outcome: EVIL,
        reason: EVIL,
      },
    ],
    next: EVIL,
  },
};

function bodyFor({ method, url = '' }: IncomingMessage): unknown {
  const { pathname, searchParams } = new URL(url, 'http://server');
  if (pathname !== '/v1/credentials' || method !== 'GET') return BODIES[`${method} ${pathname}`];
  if (searchParams.has('service_id')) return STATUS;
  return { credentials: [{ ...STATUS, service_id: EVIL, service_name: EVIL, name: EVIL }], more: true };
}

let home: string;
beforeEach(() => {
  home = newHome();
});
afterEach(() => removeHome(home));

async function connectEnv() {
  const { url } = await httpServer((request, response) => {
    response.setHeader('Content-Type', 'application/json').setHeader('x-keyhold-more', 'true');
    response.end(JSON.stringify(bodyFor(request)));
  });
  return { KEYHOLD_URL: url, KEYHOLD_API_KEY: 'kh_key' };
}

describe('the output for a server with control characters in its responses', () => {
  test.each(
    [
      ['status'],
      ['status', '--stack', 'team'],
      ['status', 'linear'],
      ['status', 'evil'],
      ['store', 'linear'],
      ['store', 'evil'],
      ['update', 'linear', 'linear_api_key'],
      ['delete', 'linear', '--yes'],
      ['delete', 'evil', '--yes'],
      ['services', 'list'],
      ['services', 'show', 'evil'],
      ['stacks', 'list'],
      ['keys', 'create'],
      ['keys', 'list'],
      ['keys', 'rotate', KEY_ID],
      ['units', 'create', 'sales'],
      ['units', 'list'],
      ['users', 'list'],
      ['users', 'remove', 'ana', '--yes'],
      ['audit', 'list'],
      ['audit', 'verify'],
      ['doctor'],
    ].map((argv) => [argv.join(' '), argv] as const),
  )('`keyhold %s` has no control character and no forged line', async (_line, argv) => {
    const env = await connectEnv();
    const run = await keyhold(home, argv, { env, stdin: 'value' });
    expect(`${run.stdout}${run.stderr}`).not.toBe('');
    expect(run.stderr).not.toContain('unexpected');
    for (const line of `${run.stdout}${run.stderr}`.split('\n')) {
      expect(line).not.toMatch(UNPRINTABLE);
      expect(line).not.toMatch(/^forged line/);
    }
  });

  test.each([['status'], ['keys list'], ['audit list'], ['services show evil']])(
    '`keyhold %s --json` escapes the control characters and keeps the texts',
    async (line) => {
      const { code, stdout } = await keyhold(home, [...line.split(' '), '--json'], {
        env: await connectEnv(),
      });
      expect(code).toBe(0);
      for (const line of stdout.split('\n')) expect(line).not.toMatch(UNPRINTABLE);
      expect(JSON.stringify(JSON.parse(stdout))).toContain(JSON.stringify(EVIL).slice(1, -1));
    },
  );

  test('colours stay in a terminal, and a server cannot add its own', async () => {
    const env = await connectEnv();
    const { stdout } = await keyhold(home, ['stacks', 'list'], { env, terminal: true });
    expect(stdout).toContain('\u001b[1mSTACK\u001b[0m');
    expect(stdout).toContain('evil?[2J?2J???forged line');
  });

  test('the suggested next command quotes the names that it got from the server', async () => {
    const { stdout } = await keyhold(home, ['status', 'linear'], {
      env: await connectEnv(),
    });
    expect(stdout).toMatch(/Next: keyhold update linear 'evil\?.*forged line'/);
  });
});
