/** The parts of a response of undici as egress returns them. */
import type { Readable } from 'node:stream';
import { egressError } from './errors.ts';

/** Throws UPSTREAM if the body breaks off. */
export async function* readBody(body: Readable): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of body) yield chunk as Buffer;
  } catch (cause) {
    throw egressError(cause, 'body');
  }
}

/** Names in lower case. */
export function pairsOf(raw: readonly (Buffer | string)[]): readonly (readonly [string, string])[] {
  const pairs: (readonly [string, string])[] = [];
  for (let at = 0; at + 1 < raw.length; at += 2)
    pairs.push([String(raw[at]).toLowerCase(), raw[at + 1]?.toString('latin1') ?? '']);
  return pairs;
}
