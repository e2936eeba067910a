/** Parses the options of `keyhold call` that make up the request. Messages never repeat an argument. */
import { readFileSync, statSync } from 'node:fs';
import { VaultError } from '../../../contract/errors.ts';
import { REQUEST_BODY_MAX_BYTES } from '../../../contract/limits.ts';
import type { CallInput } from '../../../contract/use/call.ts';
import type { CliContext } from '../../context.ts';

export function parseQuery(pairs: readonly string[]): NonNullable<CallInput['query']> {
  const query = new Map<string, string[]>();
  for (const pair of pairs) {
    const [, name, value] = /^([^=]+)=(.*)$/s.exec(pair) ?? [];
    if (name === undefined || value === undefined) throw invalid('--query takes NAME=VALUE.');
    query.set(name, [...(query.get(name) ?? []), value]);
  }
  return Object.fromEntries(query);
}

export function parseHeaders(lines: readonly string[]): Record<string, string> {
  const headers = new Map<string, string>();
  for (const line of lines) {
    const [, name, value] = /^([^:]+):(.*)$/s.exec(line) ?? [];
    if (name === undefined || value === undefined) throw invalid("--header takes 'NAME: VALUE'.");
    const known = name.trim().toLowerCase();
    if (headers.has(known)) throw invalid('--header names a header twice. Name it once.');
    headers.set(known, value.trim());
  }
  return Object.fromEntries(headers);
}

/** Text as it is, or other bytes in base64. */
export async function readBody(
  context: CliContext,
  data: string,
): Promise<Pick<CallInput, 'body' | 'body_base64'>> {
  if (data !== '-' && !data.startsWith('@')) return { body: data };
  const bytes = data === '-' ? await readInput(context) : readFile(data.slice(1));
  const text = bytes.toString();
  return Buffer.from(text).equals(bytes) ? { body: text } : { body_base64: bytes.toString('base64') };
}

async function readInput({ stdin }: CliContext): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stdin) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > REQUEST_BODY_MAX_BYTES) throw tooLarge();
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

function readFile(path: string): Buffer {
  let bytes: Buffer;
  try {
    if (statSync(path).size > REQUEST_BODY_MAX_BYTES) throw tooLarge();
    bytes = readFileSync(path);
  } catch (cause) {
    if (cause instanceof VaultError) throw cause;
    throw new VaultError('INVALID_INPUT', 'The file that --data names cannot be read. Check its path.', {
      cause,
    });
  }
  if (bytes.length > REQUEST_BODY_MAX_BYTES) throw tooLarge();
  return bytes;
}

function tooLarge(): VaultError {
  return invalid(`The body must be at most ${REQUEST_BODY_MAX_BYTES} bytes long.`);
}

function invalid(message: string): VaultError {
  return new VaultError('INVALID_INPUT', message);
}
