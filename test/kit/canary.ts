/**
 * Makes unique values (canaries) and searches bytes for them in every encoding, including either half alone. The
 * search itself is tested with every encoding.
 */
import { randomBytes } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** Long enough not to occur by chance. */
const HALF_CHARACTERS = 12;

export interface Canary {
  /** Has no blanks, and characters that JSON and URLs escape. */
  readonly value: string;
  /** Letters only, for fields with restricted characters. Part of `value`. */
  readonly word: string;
}

/** A canary that no earlier call returned. */
export function newCanary(): Canary {
  const word = [...randomBytes(2 * HALF_CHARACTERS)].map((byte) => LETTERS[byte % LETTERS.length]).join('');
  return { value: `+"é/${word}\\%&`, word };
}

interface Form {
  readonly name: string;
  readonly bytes: Buffer;
}

/**
 * Names the encodings in which the bytes contain the canary; empty if none. Either half of `word` is enough, so a
 * truncated value is found too.
 */
export function findCanary(haystack: Buffer | string, canary: Canary): string[] {
  const bytes = typeof haystack === 'string' ? Buffer.from(haystack) : haystack;
  return formsOf(canary)
    .filter((form) => bytes.includes(form.bytes))
    .map(({ name }) => name);
}

/** Names the encodings in which the bytes contain the text. */
export function findText(bytes: Buffer, text: string): string[] {
  return formsOfPiece(text, text)
    .filter((form) => bytes.includes(form.bytes))
    .map(({ name }) => name);
}

/** The texts found in the files, each with its encoding and the file; empty if none was found. */
export function findTexts(texts: readonly string[], files: ReadonlyMap<string, Buffer>): string[] {
  return texts.flatMap((text) =>
    [...files].flatMap(([name, bytes]) => findText(bytes, text).map((form) => `${form} in ${name}`)),
  );
}

const known = new WeakMap<Canary, readonly Form[]>();

function formsOf(canary: Canary): readonly Form[] {
  const forms = known.get(canary) ?? makeForms(canary);
  known.set(canary, forms);
  return forms;
}

function makeForms({ value, word }: Canary): Form[] {
  const halves = [word.slice(0, HALF_CHARACTERS), word.slice(HALF_CHARACTERS)];
  return [
    ...formsOfPiece('value', value),
    ...halves.flatMap((half, at) => formsOfPiece(at === 0 ? 'first half' : 'second half', half)),
  ];
}

function formsOfPiece(piece: string, text: string): Form[] {
  const form = (name: string, bytes: Buffer | string) => ({
    name: `${name} of ${piece}`,
    bytes: typeof bytes === 'string' ? Buffer.from(bytes) : bytes,
  });
  const plain = Buffer.from(text);
  return [
    form('plain', plain),
    form('UTF-16', Buffer.from(text, 'utf16le')),
    form('hex', plain.toString('hex')),
    form('HEX', plain.toString('hex').toUpperCase()),
    form('URL-encoded', encodeURIComponent(text)),
    form(
      'URL-encoded in lower case',
      encodeURIComponent(text).replace(/%../g, (code) => code.toLowerCase()),
    ),
    form('JSON-escaped', JSON.stringify(text).slice(1, -1)),
    form('JSON-escaped twice', JSON.stringify(JSON.stringify(text)).slice(3, -3)),
    form('JSON-escaped in ASCII', asciiJson(text)),
    form('reversed', [...text].reverse().join('')),
    ...[0, 1, 2].flatMap((at) => {
      const base64 = base64At(plain, at);
      const base64url = base64.replaceAll('+', '-').replaceAll('/', '_');
      return [form(`base64 at ${at}`, base64), form(`base64url at ${at}`, base64url)];
    }),
  ];
}

/**
 * The base64 characters (RFC 4648, section 4) that do not depend on neighbouring bytes if `before` bytes, modulo 3,
 * precede.
 */
function base64At(bytes: Buffer, before: number): string {
  const from = Math.ceil((before * 8) / 6);
  const upto = Math.floor(((before + bytes.length) * 8) / 6);
  return Buffer.concat([Buffer.alloc(before), bytes])
    .toString('base64')
    .slice(from, upto);
}

function asciiJson(text: string): string {
  return JSON.stringify(text)
    .slice(1, -1)
    .replace(/[^\x20-\x7e]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Path and encoding of each occurrence of the canary in files under the folder, or in their names. */
export function findCanaryInFiles(folder: string, canary: Canary): string[] {
  return filesUnder(folder).flatMap((path) => [
    ...findCanary(path.slice(folder.length), canary).map((form) => `${path}: ${form} in its name`),
    ...findCanary(readFileSync(path), canary).map((form) => `${path}: ${form}`),
  ]);
}

/** Paths of all files under a folder, recursively. */
export function filesUnder(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found?.isDirectory()) return filesUnder(path);
    return found?.isFile() ? [path] : [];
  });
}

/** Ids of processes whose arguments contain the canary. Processes of other users may be missing. */
export function processesWithCanary(canary: Canary): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => findCanary(argumentsOf(pid), canary).length > 0)
    .map(Number);
}

function argumentsOf(pid: string): Buffer {
  try {
    return readFileSync(`/proc/${pid}/cmdline`);
  } catch {
    // The process has exited in the meantime.
    return Buffer.alloc(0);
  }
}
