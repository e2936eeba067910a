/**
 * Load on a served vault: many clients, each on one connection, that write by every dialect and tool into places of
 * their own, and read in between. Of every place it is known what was sent last, and what was acknowledged last.
 */
import { newRequestId } from '../../../src/crypto/request_id.ts';
import type { Ask } from '../../kit/http/in_process_server.ts';
import { KeepAliveClient, type KeptAnswer, NotSent } from '../../kit/http/keep_alive.ts';
import type { Tenants } from '../../kit/vault/tenants.ts';
import { messageIn } from '../operations/operations.ts';
import { callerOf, POSTGRES, type Writer } from './targets.ts';

export interface LoadReport {
  requests: number;
  /** What went wrong: a status that was not to be, or a request that was sent and got no whole answer. */
  readonly faults: string[];
  /** Each connection that was refused before anything was sent. */
  refused: number;
}

/** Runs until `until` says so, or until the connection is refused. Never rejects. */
export async function runWriter(
  url: string,
  writer: Writer,
  report: LoadReport,
  until: () => boolean,
  seen: (ask: Ask, answer: KeptAnswer) => void = () => undefined,
): Promise<void> {
  const client = new KeepAliveClient(url);
  const ask = async (what: Ask): Promise<KeptAnswer | undefined> => {
    const answer = await client.ask(what);
    report.requests++;
    seen(what, answer);
    if (isGood(answer)) return answer;
    report.faults.push(`${what.method} ${what.path}: ${answer.status} ${answer.text.slice(0, 200)}`);
    return undefined;
  };
  try {
    for (let turn = 0; !until(); turn++) {
      const place = writer.places[turn % writer.places.length];
      const read = writer.reads[turn % writer.reads.length];
      if (place !== undefined) {
        const number = ++place.sent;
        if ((await ask(place.write(number))) !== undefined) place.acknowledged = number;
      }
      if (read !== undefined) await ask(read);
      if (turn % 4 === 0) await makeAndDelete(writer, ask, turn);
    }
  } catch (error) {
    if (error instanceof NotSent) report.refused++;
    else report.faults.push(error instanceof Error ? `sent, and not answered: ${error.message}` : 'failed');
  } finally {
    client.close();
  }
}

/** Keeps one of two, so that lists grow slowly. */
async function makeAndDelete(
  { key, made, deleted }: Writer,
  ask: (what: Ask) => Promise<KeptAnswer | undefined>,
  turn: number,
): Promise<void> {
  const all = '/integrations/credentials';
  const body = {
    name: `made-${turn}-${newRequestId()}`,
    provider: 'postgresql',
    credential_type: 'user_password',
    credentials: { ...POSTGRES, password: 'v0' },
  };
  const answer = await ask({ method: 'POST', path: all, key, body });
  if (answer === undefined) return;
  const { id }: { id: string } = JSON.parse(answer.text);
  if (turn % 32 === 0) {
    made.add(id);
    return;
  }
  // From when it is sent on, it may be gone.
  const gone = await ask({ method: 'DELETE', path: `${all}/${id}`, key });
  if (gone !== undefined) deleted.add(id);
}

function isGood({ status, text, headers }: KeptAnswer): boolean {
  if (status < 200 || status >= 300) return false;
  const is_message = text.startsWith('event:') || text.includes('"jsonrpc"');
  if (!is_message || headers.get('content-type')?.startsWith('text/html')) return true;
  return (messageIn(text).result as { isError?: boolean } | undefined)?.isError !== true;
}

/** What is not as it was acknowledged; empty when all is. What was sent and not acknowledged may be there or not. */
export async function lostWrites({ vault }: Tenants, writers: readonly Writer[]): Promise<string[]> {
  const lost: string[] = [];
  for (const { user, places, made, deleted } of writers) {
    for (const { road, sent, acknowledged, stored } of places) {
      const number = await stored(vault);
      if (!(number >= acknowledged && number <= sent))
        lost.push(
          `${user} by ${road}: ${number} is there, ${acknowledged} was acknowledged, ${sent} was sent last`,
        );
    }
    const isThere = (id: string) =>
      vault.credentials.get(callerOf(user), id).then(
        () => true,
        () => false,
      );
    for (const id of made) if (!(await isThere(id))) lost.push(`${user}: ${id} is gone`);
    for (const id of deleted) if (await isThere(id)) lost.push(`${user}: ${id} is back`);
  }
  return lost;
}
