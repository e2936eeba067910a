/** A service from what a person hands in: a definition, or the `server.json` of an MCP server. */
import type { Service } from '../contract/service.ts';
import { parseDefinition } from './definition.ts';
import { fromServerJson, isServerJson } from './server_json/import.ts';

/** Throws INVALID_INPUT (`service_definition_invalid`) naming file, place and reason. */
export function toService(json: unknown, file_name: string): Service {
  return parseDefinition(isServerJson(json) ? fromServerJson(json, file_name) : json, file_name);
}
