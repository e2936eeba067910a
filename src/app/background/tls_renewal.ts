/**
 * Reads the TLS certificate and key of the server, and reads them again while it runs, so that a renewed certificate needs no
 * restart. Compares the content: a mounted secret of Kubernetes changes by its symbolic link, and other tools keep the time.
 */
import { X509Certificate } from 'node:crypto';
import { constants } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { VaultError } from '../../contract/errors.ts';
import { describeFailure, type Logger } from '../../contract/logger.ts';
import type { Listener, TlsPair } from '../../http/server/listener.ts';
import type { HttpSettings } from '../../settings/http.ts';

const EVERY_MS = 10_000;
/** Does not wait for the writer of a pipe, which the first read has emptied. Windows has no such flag. */
const { O_NONBLOCK = 0 } = constants;

type TlsFiles = NonNullable<HttpSettings['tls']>;

export interface TlsRenewalOptions {
  readonly files: TlsFiles;
  /** The pair in use. */
  readonly pair: TlsPair;
  readonly listener: Pick<Listener, 'setTls'>;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly every_ms?: number;
  readonly signal: AbortSignal;
}

/** Rejects with INVALID_INPUT, which names the setting, for a file that cannot be read. */
export async function readTls(files: TlsFiles, flags: number = constants.O_RDONLY): Promise<TlsPair> {
  const cert = await readPem('KEYHOLD_TLS_CERT', files.cert_path, flags);
  return { cert, key: await readPem('KEYHOLD_TLS_KEY', files.key_path, flags) };
}

/**
 * Resolves when `signal` is aborted. Never rejects. A pair that cannot be read or used is logged once, as while a program
 * replaces one file after the other, and the former pair stays in use.
 */
export async function renewTls(options: TlsRenewalOptions): Promise<void> {
  const { files, listener, log, every_ms = EVERY_MS, signal } = options;
  let { pair: last } = options;
  let is_readable = true;
  const fail = (error: unknown) =>
    log.warn({ failure: describeFailure(error) }, 'TLS certificate not renewed; the former one stays in use');
  for (;;) {
    await sleep(every_ms, undefined, { signal, ref: false }).catch(() => undefined);
    if (signal.aborted) return;
    const found = await readTls(files, constants.O_RDONLY | O_NONBLOCK).catch((error: unknown) => {
      if (is_readable) fail(error);
      return undefined;
    });
    is_readable = found !== undefined;
    if (found === undefined || (found.cert.equals(last.cert) && found.key.equals(last.key))) continue;
    last = found;
    try {
      listener.setTls(found);
      log.info({ valid_to: new X509Certificate(found.cert).validTo }, 'TLS certificate renewed');
    } catch (error) {
      fail(error);
    }
  }
}

async function readPem(setting: string, path: string, flag: number): Promise<Buffer> {
  try {
    return await readFile(path, { flag });
  } catch (cause) {
    const message = `The file that the setting ${setting} names cannot be read. Check the path and its permissions.`;
    throw new VaultError('INVALID_INPUT', message, { reason: 'setting_invalid', cause });
  }
}
