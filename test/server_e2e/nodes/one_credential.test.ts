/** Two nodes of a vault in PostgreSQL that update one credential at the same time: no update is lost. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SCOPES } from '../../../src/contract/caller.ts';
import { createDatabaseNodes, TRUST_RULES } from '../../kit/child/database_nodes.ts';
import type { ServeProcess } from '../../kit/http/http_server.ts';
import { NO_POSTGRESQL, type PostgresqlServer, startPostgresql } from '../../kit/servers/postgresql.ts';

const UPDATES = 25;
/** For several starts of a process on a loaded machine. */
const LONG_MS = 180_000;
const FIELDS = ['twilio_api_key_secret', 'twilio_auth_token'] as const;
const CREATE_PATH = '/integrations/credentials';
const NEW = {
  provider: 'postgresql',
  credential_type: 'user_password',
  credentials: { username: 'app', password: 'v', database: 'app' },
};
const TWILIO = { service_id: 'twilio' };

let server: PostgresqlServer;

beforeAll(async () => {
  if (!NO_POSTGRESQL) server = await startPostgresql(TRUST_RULES);
});
afterAll(() => server?.stop());

async function send({ url }: ServeProcess, key: string, method: string, path: string, body: object) {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const response = await fetch(`${url}${path}`, { method, headers, body: JSON.stringify(body) });
  return {
    status: response.status,
    request_id: response.headers.get('x-request-id'),
    body: await response.json(),
  };
}

async function startNodes() {
  const vault = await createDatabaseNodes(server);
  const nodes = await Promise.all([vault.start(), vault.start()]);
  return { ...vault, nodes, key: vault.admin_key };
}

describe.skipIf(NO_POSTGRESQL)('two nodes that update one credential', { timeout: LONG_MS }, () => {
  test('two nodes keep all updates of two fields, and the audit log has each revision once', async () => {
    const { nodes, key, open } = await startNodes();
    const update = async (node: ServeProcess, field: string) => {
      const sent = [];
      for (let count = 1; count <= UPDATES; count++) {
        const credentials = { [field]: `${field}-${count}` };
        sent.push(await send(node, key, 'POST', '/v1/credentials/update', { ...TWILIO, credentials }));
      }
      return sent;
    };
    const sent = (await Promise.all(nodes.map((node, at) => update(node, FIELDS[at] ?? '')))).flat();
    expect(sent.filter(({ status }) => status !== 200)).toEqual([]);
    const { vault, caller } = await open();
    const { entries } = await vault.listAudit(caller(), TWILIO, 100);
    const updates = entries.filter(({ action }) => action === 'update');
    expect(new Set(updates.map(({ request_id }) => request_id))).toEqual(
      new Set(sent.map(({ request_id }) => request_id)),
    );
    expect(updates.map(({ revision }) => revision).toReversed()).toEqual(
      Array.from({ length: 2 * UPDATES }, (_, at) => at + 1),
    );
    const { credential_id } = await vault.status(caller(), TWILIO);
    const values = await vault.credentials.reveal(
      { ...caller(), scopes: new Set(SCOPES) },
      credential_id ?? '',
    );
    expect(FIELDS.map((field) => values.get(field)?.reveal())).toEqual(
      FIELDS.map((field) => `${field}-${UPDATES}`),
    );
    expect((await vault.verifyAudit(caller())).findings).toEqual([]);
  });

  test('of two nodes that create a credential with the same name, one gets CONFLICT, each time', async () => {
    const { nodes, key, open } = await startNodes();
    for (let round = 0; round < UPDATES / 5; round++) {
      const name = `n${round}`;
      const created = await Promise.all(
        nodes.map((node, at) =>
          send(node, key, 'POST', CREATE_PATH, {
            ...NEW,
            name,
            credentials: { ...NEW.credentials, host: `h${at}` },
          }),
        ),
      );
      expect(created.map(({ status }) => status).toSorted()).toEqual([201, 409]);
    }
    const { vault, caller } = await open();
    expect((await vault.verifyAudit(caller())).findings).toEqual([]);
  });
});
