/** Stores a credential in a new vault, tests it against servers on loopback, and checks what every test must show. */
import { writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { expect } from 'vitest';
import { Secret } from '../../src/contract/secret.ts';
import type { ConnectionParameter } from '../../src/contract/service/connection.ts';
import type { TestOutput } from '../../src/contract/use/test.ts';
import type { Finding, Probe, ProbeNetwork } from '../../src/probe/probe.ts';
import { listen, openEgress } from '../egress/servers.ts';
import { issueCertificate, TEST_CA_CERT } from '../kit/upstream/certificates.ts';
import { openTestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';

/** Resolves to this machine; the certificates of the kit's servers are for it. */
export const HOST = 'localhost';

/** The result through the vault. The status of the credential shows the same, and no output has one of the `secrets`. */
export async function testCredential(
  service_id: string,
  credentials: Readonly<Record<string, string>>,
  secrets: readonly string[],
): Promise<TestOutput> {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'ca.pem'), TEST_CA_CERT);
  const { vault, tests, caller } = await openTestVault(undefined, {
    KEYHOLD_EGRESS_ALLOW: `${HOST},127.0.0.0/8`,
    KEYHOLD_EGRESS_CA: join(folder, 'ca.pem'),
  });
  await vault.update(caller(), { service_id, credentials: { ...credentials } });
  const output = await tests.test(caller(), { service_id });
  const status = await vault.status(caller(), { service_id });
  const { result, reason, message, account, tested_at: at } = output;
  expect(status.last_test).toEqual({ at, result, reason, message, account });
  const shown = JSON.stringify([output, status, await vault.listAudit(caller())]);
  for (const secret of secrets) expect(shown).not.toContain(secret);
  return output;
}

/**
 * Runs a probe on its own, with servers on loopback in place of public ones: no test can reach a public address. All else is
 * the real connection.
 */
export async function probeAsPublic(
  probe: Probe,
  parameters: Partial<Record<ConnectionParameter, string>>,
): Promise<Finding> {
  const egress = openEgress('127.0.0.0/8');
  const sockets: Socket[] = [];
  const network: ProbeNetwork = {
    async connect(endpoint) {
      const connection = await egress.connect(endpoint);
      sockets.push(connection.socket);
      return { ...connection, is_public: true };
    },
    tlsOptions: (host) => egress.tlsOptions(host),
    startTls: (socket, options) => egress.startTls(socket, options),
  };
  const secrets = Object.entries(parameters).map(
    ([name, text]) => [name as ConnectionParameter, new Secret(text)] as const,
  );
  try {
    return await probe(new Map(secrets), network, { signal: new AbortController().signal });
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

/** A server that does this with each connection. Returns its port, and what it received. */
export async function listenScripted(
  script: (socket: Socket) => void,
  tls = false,
): Promise<{ readonly port: number; readonly received: () => string }> {
  const chunks: Buffer[] = [];
  const accept = (socket: Socket) => {
    socket.on('error', () => undefined).on('data', (chunk: Buffer) => chunks.push(chunk));
    script(socket);
  };
  const server = tls ? createTlsServer(issueCertificate([HOST]), accept) : createServer(accept);
  server.on('tlsClientError', () => undefined);
  return { port: await listen(server), received: () => Buffer.concat(chunks).toString('latin1') };
}
