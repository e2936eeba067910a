/**
 * Load on a server: many clients, each on one connection, that write to their own targets through every dialect and tool
 * and read in between. Each target knows the last number that was sent, and the last that was acknowledged.
 */
import { newRequestId } from '../../../src/crypto/request_id.ts';
import type { TestRequest } from '../../kit/http/in_process_server.ts';
import { KeepAliveClient, type KeepAliveResponse, NotSentError } from '../../kit/http/keep_alive.ts';
import type { Tenants } from '../../kit/vault/tenants.ts';
import { messageIn } from '../operations/operations.ts';
import { callerOf, POSTGRES, type Writer } from './targets.ts';

export interface LoadReport {
  requests: number;
  /** Unexpected statuses, and requests that were sent and got no complete response. */
  readonly faults: string[];
  /** Connections that were accepted. */
  connections: number;
  /** Connections that were refused before anything was sent. */
  refused: number;
}

/** Runs until `until` returns true or the connection is refused. Never rejects. */
export async function runWriter(
  url: string,
  writer: Writer,
  report: LoadReport,
  until: () => boolean,
  seen: (request: TestRequest, response: KeepAliveResponse) => void = () => undefined,
): Promise<void> {
  const client = new KeepAliveClient(url);
  const send = async (what: TestRequest): Promise<KeepAliveResponse | undefined> => {
    const response = await client.send(what);
    report.requests++;
    seen(what, response);
    if (isGood(response)) return response;
    report.faults.push(`${what.method} ${what.path}: ${response.status} ${response.text.slice(0, 200)}`);
    return undefined;
  };
  try {
    for (let round = 0; !until(); round++) {
      const target = writer.targets[round % writer.targets.length];
      const read = writer.reads[round % writer.reads.length];
      if (target !== undefined) {
        const number = ++target.sent;
        if ((await send(target.write(number))) !== undefined) target.acknowledged = number;
      }
      if (read !== undefined) await send(read);
      if (round % 4 === 0) await makeAndDelete(writer, send, round);
    }
  } catch (error) {
    if (error instanceof NotSentError) report.refused++;
    else report.faults.push(error instanceof Error ? `sent, no response: ${error.message}` : 'failed');
  } finally {
    report.connections += client.connections;
    client.close();
  }
}

/** Creates a credential and deletes most of them again, so that lists grow slowly. */
async function makeAndDelete(
  { key, made, deleted }: Writer,
  send: (what: TestRequest) => Promise<KeepAliveResponse | undefined>,
  round: number,
): Promise<void> {
  const all = '/integrations/credentials';
  const body = {
    name: `made-${round}-${newRequestId()}`,
    provider: 'postgresql',
    credential_type: 'user_password',
    credentials: { ...POSTGRES, password: 'v0' },
  };
  const response = await send({ method: 'POST', path: all, key, body });
  if (response === undefined) return;
  const { id }: { id: string } = JSON.parse(response.text);
  if (round % 32 === 0) {
    made.add(id);
    return;
  }
  const response_to_delete = await send({ method: 'DELETE', path: `${all}/${id}`, key });
  if (response_to_delete !== undefined) deleted.add(id);
}

function isGood({ status, text, headers }: KeepAliveResponse): boolean {
  if (status < 200 || status >= 300) return false;
  const is_message = text.startsWith('event:') || text.includes('"jsonrpc"');
  if (!is_message || headers.get('content-type')?.startsWith('text/html')) return true;
  return (messageIn(text).result as { isError?: boolean } | undefined)?.isError !== true;
}

/** Writes that were acknowledged and are missing. A write that was sent and not acknowledged may exist or not. */
export async function lostWrites({ vault }: Tenants, writers: readonly Writer[]): Promise<string[]> {
  const lost: string[] = [];
  for (const { user, targets, made, deleted } of writers) {
    for (const { channel, sent, acknowledged, stored } of targets) {
      const number = await stored(vault);
      if (!(number >= acknowledged && number <= sent))
        lost.push(`${user} through ${channel}: stored ${number}, acknowledged ${acknowledged}, sent ${sent}`);
    }
    const isThere = (id: string) =>
      vault.credentials.get(callerOf(user), id).then(
        () => true,
        () => false,
      );
    for (const id of made) if (!(await isThere(id))) lost.push(`${user}: ${id} is missing`);
    for (const id of deleted) if (await isThere(id)) lost.push(`${user}: ${id} was deleted and exists`);
  }
  return lost;
}
