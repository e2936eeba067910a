/**
 * Reads definition files and parses custom definitions. Errors name the file and, for malformed JSON, line and column;
 * they never repeat the content of the file.
 */
import fs from 'node:fs';
import path from 'node:path';
import { VaultError } from '../contract/errors.ts';
import { SERVICE_FILE_MAX_BYTES } from '../contract/limits.ts';
import type { Service } from '../contract/service/service.ts';
import { errnoOf } from '../io/errno.ts';
import { findJsonSyntaxError } from '../io/json_syntax_error.ts';
import { checkCustomDefinition, checkDefinitionFile } from './custom_rules.ts';
import { definitionError, parseDefinition } from './definition.ts';
import { fromEarlierFormat } from './earlier_format.ts';
import { fromServerJson, isServerJson } from './server_json/import.ts';

const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = fs.constants;
/** Codes of `open` for a symbolic link with O_NOFOLLOW (Linux and macOS; FreeBSD), and for a socket. */
const NOT_A_FILE_CODES = ['ELOOP', 'EMLINK', 'ENXIO'];
const UTF_8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Makes a service from a custom definition or the `server.json` of an MCP server. Throws INVALID_INPUT
 * (`service_definition_invalid`) with file, path and reason.
 */
export function toService(json: unknown, file_name: string): Service {
  const definition = isServerJson(json) ? fromServerJson(json, file_name) : fromEarlierFormat(json);
  const service = parseDefinition(definition, file_name);
  checkCustomDefinition(service, file_name);
  return service;
}

/**
 * Reads the JSON of a file. Throws INVALID_INPUT (`service_definition_invalid`) if it is not a regular file, too large,
 * not UTF-8 or not JSON, and UNAVAILABLE (`unreadable`) if it cannot be read.
 */
export function readJsonFile(file_path: string): unknown {
  const file_name = path.basename(file_path);
  return decodeJson(readBytes(file_path, file_name, O_RDONLY), file_name);
}

/** Like `readJsonFile`, for a file of the folder of custom definitions: also throws for the faults of `checkDefinitionFile`. */
export function readCustomFile(file_path: string): unknown {
  const file_name = path.basename(file_path);
  const bytes = readBytes(file_path, file_name, O_RDONLY | O_NOFOLLOW, checkDefinitionFile);
  return decodeJson(bytes, file_name);
}

function decodeJson(bytes: Buffer, file_name: string): unknown {
  let text: string;
  try {
    // Also removes a byte order mark, which some editors write.
    text = UTF_8.decode(bytes);
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw definitionError(file_name, '', 'is not UTF-8 text');
  }
  return parseJson(text, file_name);
}

/** Parses JSON. Throws INVALID_INPUT with line and column of the syntax error. */
export function parseJson(text: string, file_name: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const { line, column } = findJsonSyntaxError(text) ?? { line: 1, column: 1 };
    throw definitionError(file_name, `line ${line}, column ${column}`, 'is not JSON');
  }
}

/** Checks the descriptor that it reads from: another file could take the name in between. */
function readBytes(
  file_path: string,
  file_name: string,
  flags: number,
  check?: (stat: fs.Stats, file_name: string) => void,
): Buffer {
  try {
    // Opening a named pipe would block without O_NONBLOCK.
    const file = fs.openSync(file_path, flags | O_NONBLOCK);
    try {
      const stat = fs.fstatSync(file);
      if (!stat.isFile()) throw notAFile(file_name);
      check?.(stat, file_name);
      if (stat.size > SERVICE_FILE_MAX_BYTES) throw tooLarge(file_name);
      const bytes = fs.readFileSync(file);
      if (bytes.length > SERVICE_FILE_MAX_BYTES) throw tooLarge(file_name);
      return bytes;
    } finally {
      fs.closeSync(file);
    }
  } catch (cause) {
    if (cause instanceof VaultError) throw cause;
    if (NOT_A_FILE_CODES.includes(errnoOf(cause) ?? '')) throw notAFile(file_name);
    const message = `${file_name}: the service definition cannot be read. Check that the file exists and its permissions.`;
    throw new VaultError('UNAVAILABLE', message, { reason: 'unreadable', cause });
  }
}

function notAFile(file_name: string): VaultError {
  return definitionError(file_name, '', 'is not a regular file');
}

/** The error for a definition larger than `SERVICE_FILE_MAX_BYTES`. */
export function tooLarge(file_name: string): VaultError {
  return definitionError(file_name, '', `is larger than ${SERVICE_FILE_MAX_BYTES / 1024} KiB`);
}

/** The sorted names of the JSON files of a folder; an empty list if the folder is missing. */
export function jsonFiles(folder: string): string[] {
  try {
    return fs
      .readdirSync(folder)
      .filter((name) => name.toLowerCase().endsWith('.json') && !name.startsWith('.'))
      .sort();
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return [];
    const message =
      'The folder of service definitions cannot be read. Check that it is a folder and its permissions.';
    throw new VaultError('UNAVAILABLE', message, { reason: 'unreadable', cause });
  }
}
