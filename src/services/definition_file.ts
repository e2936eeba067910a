/**
 * Reads a definition file into JSON. Every failure names the file and, in broken JSON, line and column;
 * none repeats what the file holds.
 */
import fs from 'node:fs';
import path from 'node:path';
import { VaultError } from '../contract/errors.ts';
import { SERVICE_FILE_MAX_BYTES } from '../contract/limits.ts';
import { findJsonSyntaxError } from '../io/json_syntax_error.ts';
import { definitionError } from './definition.ts';

const UTF_8 = new TextDecoder('utf-8', { fatal: true });

/**
 * What the file holds, as JSON. Throws INVALID_INPUT (`service_definition_invalid`) for a file that is no regular
 * file, too large, not UTF-8 or not JSON, and UNAVAILABLE (`unreadable`) for one that cannot be read.
 */
export function readJsonFile(file_path: string): unknown {
  const file_name = path.basename(file_path);
  const bytes = readBytes(file_path, file_name);
  let text: string;
  try {
    // Also takes away a byte order mark, which some editors put first.
    text = UTF_8.decode(bytes);
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw definitionError(file_name, '', 'is not UTF-8 text');
  }
  return parseJson(text, file_name);
}

/** Parses JSON. Throws INVALID_INPUT that gives line and column of the fault. */
export function parseJson(text: string, file_name: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const fault = findJsonSyntaxError(text) ?? { line: 1, column: 1 };
    throw definitionError(file_name, `line ${fault.line}, column ${fault.column}`, 'is not JSON');
  }
}

function readBytes(file_path: string, file_name: string): Buffer {
  try {
    const stat = fs.statSync(file_path);
    // Opening a named pipe would wait for ever.
    if (!stat.isFile()) throw definitionError(file_name, '', 'is not a regular file');
    if (stat.size > SERVICE_FILE_MAX_BYTES) throw tooLarge(file_name);
    const bytes = fs.readFileSync(file_path);
    if (bytes.length > SERVICE_FILE_MAX_BYTES) throw tooLarge(file_name);
    return bytes;
  } catch (cause) {
    if (cause instanceof VaultError) throw cause;
    const message = `${file_name}: the service definition cannot be read; check that it is there and who may read it.`;
    throw new VaultError('UNAVAILABLE', message, { reason: 'unreadable', cause });
  }
}

/** The error for a definition past `SERVICE_FILE_MAX_BYTES`. */
export function tooLarge(file_name: string): VaultError {
  return definitionError(file_name, '', `is larger than ${SERVICE_FILE_MAX_BYTES / 1024} KiB`);
}
