/**
 * The response of tools/list for each tool is in a file, so that a change shows what clients will receive.
 * `UPDATE=1` writes the files again.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { TOOLS } from '../../tools/catalogue.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { type Message, RawServer, REVISIONS, type Revision } from '../mcp/raw_server.ts';

const FOLDER = fileURLToPath(new URL('schemas/', import.meta.url));
/** A model reads the whole response first. */
const LIST_MAX_BYTES = 16 * 1024;

interface ListedTool {
  readonly name: string;
}

async function listTools(revision: Revision): Promise<{ response: Message; tools: readonly ListedTool[] }> {
  const server = new RawServer(temporaryFolder(), revision);
  await server.open();
  const response = await server.request('tools/list');
  const again = await server.request('tools/list');
  expect(again.result).toStrictEqual(response.result);
  await server.end();
  return { response, tools: response.result?.tools as readonly ListedTool[] };
}

const text = (tool: ListedTool) => `${JSON.stringify(tool, null, 2)}\n`;

test('tools/list returns the schema in the file of each tool', async () => {
  const { tools } = await listTools('2025-11-25');
  if (process.env.UPDATE === '1') {
    rmSync(FOLDER, { recursive: true, force: true });
    mkdirSync(FOLDER, { recursive: true });
    for (const tool of tools) writeFileSync(join(FOLDER, `${tool.name}.json`), text(tool));
  }
  expect(readdirSync(FOLDER).sort()).toStrictEqual(tools.map(({ name }) => `${name}.json`).sort());
  for (const tool of tools) {
    const path = join(FOLDER, `${tool.name}.json`);
    expect(text(tool), `${tool.name}: UPDATE=1 writes it again`).toBe(readFileSync(path, 'utf8'));
    expect(Object.keys(tool).sort()).toStrictEqual(
      ['annotations', 'description', 'inputSchema', 'name', 'outputSchema', 'title'].sort(),
    );
  }
});

test.each(REVISIONS)(
  'tools/list in revision %s has the order of the catalogue and fits the size limit',
  async (revision) => {
    const { response, tools } = await listTools(revision);
    expect(tools.map(({ name }) => name)).toStrictEqual(TOOLS.map(({ name }) => name));
    expect(Buffer.byteLength(JSON.stringify(response.result))).toBeLessThanOrEqual(LIST_MAX_BYTES);
  },
);

test('both revisions serve the same tools', async () => {
  const [older, newer] = await Promise.all(REVISIONS.map(listTools));
  expect(newer?.tools).toStrictEqual(older?.tools);
});
