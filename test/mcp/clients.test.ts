/** Every client lists and calls every tool of the built program, with success and failure. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AjvJsonSchemaValidator } from '@modelcontextprotocol/client/validators/ajv';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import {
  CLIENT_KINDS,
  type ConnectedClient,
  connectClient,
  type ServedTool,
} from '../kit/mcp/mcp_clients.ts';
import { removeFolder } from '../kit/remove_folder.ts';
import { CALLS } from './calls.ts';

const ajv = new AjvJsonSchemaValidator();

const toolsOf = (calls: typeof CALLS) => [...new Set(calls.map(({ tool }) => tool))].sort();

test('the calls take every tool through success and failure', () => {
  const failing = toolsOf(CALLS.filter(({ fails }) => fails !== undefined));
  const succeeding = toolsOf(CALLS.filter(({ fails }) => fails === undefined));
  expect(failing).toStrictEqual(succeeding);
});

describe.each(CLIENT_KINDS)('%s', (kind) => {
  let home: string;
  let client: ConnectedClient;
  let tools: readonly ServedTool[];

  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'keyhold-clients-'));
    client = await connectClient(kind, home);
    tools = await client.listTools();
  });
  afterAll(async () => {
    await client?.close();
    await removeFolder(home);
  });

  test('the client negotiates the protocol revision and receives the server info', () => {
    expect(client.revision).toBe(kind.slice(-10));
    expect(client.server).toMatchObject({ name: 'keyhold', title: 'Keyhold', version: packageJson.version });
    expect(client.instructions).toContain('list_services');
  });

  test('the client lists every tool with title, description, annotations and schemas', () => {
    // CALLS must contain every tool.
    expect(tools.map(({ name }) => name).sort()).toStrictEqual(toolsOf(CALLS));
    for (const tool of tools) {
      expect(tool.title, tool.name).toMatch(/^[A-Z][a-z ]+$/);
      expect(tool.description, tool.name).toMatch(/\.$/);
      expect(tool.annotations, tool.name).toStrictEqual({
        title: tool.title,
        readOnlyHint: expect.any(Boolean),
        destructiveHint: expect.any(Boolean),
        idempotentHint: expect.any(Boolean),
        openWorldHint: expect.any(Boolean),
      });
      expect(tool.inputSchema, tool.name).toMatchObject({ type: 'object', additionalProperties: false });
      expect(tool.outputSchema, tool.name).toMatchObject({ type: 'object' });
    }
  });

  test.each(CALLS.map((call) => [`${call.tool} ${call.does}`, call] as const))(
    '%s',
    async (_title, { tool, input, fails }) => {
      const result = await client.call(tool, input);
      const served = tools.find(({ name }) => name === tool);
      if (fails !== undefined) {
        expect(result.is_error, result.text).toBe(true);
        expect(result.text).toMatch(new RegExp(`^${fails}: .+\\.$`));
        expect(result.meta['keyhold/error']).toMatchObject({ code: fails, message: expect.any(String) });
        return;
      }
      expect(result.is_error, result.text).toBe(false);
      expect(result.text).not.toBe('');
      expect(served?.outputSchema).toBeDefined();
      const given = ajv.getValidator(served?.outputSchema ?? {})(result.structured);
      expect(given, given.errorMessage).toMatchObject({ valid: true });
      const sent = ajv.getValidator(served?.inputSchema ?? {})(input);
      expect(sent, sent.errorMessage).toMatchObject({ valid: true });
    },
  );

  test('a call of an unknown tool is a protocol error', async () => {
    await expect(client.call('no_such_tool')).rejects.toMatchObject({ code: -32602 });
  });

  test('stderr contains only lines of JSON', () => {
    const lines = client.stderr().split('\n').slice(0, -1);
    expect(lines.map((line) => typeof JSON.parse(line))).toStrictEqual(lines.map(() => 'object'));
  });
});
