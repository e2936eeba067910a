/** Starts SFTP after the login, and finds out whether the user may write a file. */
import { randomBytes } from 'node:crypto';
import type { Client, SFTPWrapper } from 'ssh2';
import type { Finding } from '../probe.ts';

/** Of version 3 of the protocol (draft-ietf-secsh-filexfer-02, section 7). */
const NO_SUCH_FILE = 2;
const CONTENT = Buffer.from('A test of Keyhold. This file can be removed.\n');
const MODE = 0o600;

/** `undefined`: the server starts no session. Rejects if the connection ends. */
export async function openSftp(client: Client): Promise<SFTPWrapper | undefined> {
  try {
    const sftp = await request<SFTPWrapper>(client, (done) => client.sftp(done));
    // An error without a listener would end the process; requests that wait fail too.
    sftp.on('error', () => undefined);
    return sftp;
  } catch (error) {
    if (error instanceof ClosedConnectionError) throw error;
    return undefined;
  }
}

/** Rejects if the connection ends. When `signal` aborts, the file is still removed as long as the connection lasts. */
export async function checkWriteAccess(
  client: Client,
  sftp: SFTPWrapper,
  folder: string,
  signal: AbortSignal,
): Promise<Omit<Finding, 'checked'>> {
  const name = `.keyhold-test-${randomBytes(16).toString('hex')}`;
  const path = folder.endsWith('/') ? `${folder}${name}` : `${folder}/${name}`;
  const removeAtEnd = () => sftp.unlink(path, () => undefined);
  signal.addEventListener('abort', removeAtEnd);
  try {
    // Exclusively: a file that exists is never changed.
    const opened = await attempt<Buffer>(client, (done) => sftp.open(path, 'wx', { mode: MODE }, done));
    if (opened.status === NO_SUCH_FILE) return { reason: 'folder_missing', facts: { can_write: 'no' } };
    if (opened.value === undefined)
      return {
        ...refused('The user may not create a file in the folder.', opened),
        facts: { can_write: 'no' },
      };
    const handle = opened.value;
    const written = await attempt(client, (done) =>
      sftp.write(handle, CONTENT, 0, CONTENT.length, 0, (error) => done(error ?? undefined)),
    );
    const closed = await attempt(client, (done) => sftp.close(handle, (error) => done(error ?? undefined)));
    const removed = await attempt(client, (done) => sftp.unlink(path, (error) => done(error ?? undefined)));
    const failed = [written, closed].find(({ status }) => status !== undefined);
    const facts = { can_write: failed === undefined ? 'yes' : 'no' };
    if (removed.status !== undefined)
      return { ...refused(`The user may not remove files: ${name} remains in the folder.`, removed), facts };
    if (failed !== undefined) return { ...refused('A file can be created, but not written.', failed), facts };
    return { reason: 'accepted', facts };
  } finally {
    signal.removeEventListener('abort', removeAtEnd);
  }
}

interface Attempt<Value> {
  /** The status code of a request that failed. */
  readonly status?: number;
  readonly message?: string;
  readonly value?: Value;
}

type Done<Value> = (error?: Error, value?: Value) => void;

class ClosedConnectionError extends Error {}

function refused(detail: string, { message }: Attempt<unknown>): Omit<Finding, 'checked'> {
  return { reason: 'permission_missing', detail, server_message: message };
}

async function attempt<Value>(client: Client, start: (done: Done<Value>) => void): Promise<Attempt<Value>> {
  try {
    return { value: await request(client, start) };
  } catch (error) {
    const status: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
    if (!(error instanceof Error) || typeof status !== 'number') throw error;
    return { status, message: error.message };
  }
}

/** Rejects with the error of the request, or when the connection ends. */
function request<Value>(client: Client, start: (done: Done<Value>) => void): Promise<Value> {
  return new Promise((resolve, reject) => {
    const onClose = () => reject(new ClosedConnectionError('closed'));
    client.once('close', onClose);
    start((error, value) => {
      client.off('close', onClose);
      if (error) reject(error);
      else resolve(value as Value);
    });
  });
}
