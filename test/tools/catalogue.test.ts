/** Every tool keeps the rules that all of them share: names, texts, annotations, schemas and results. */
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { VaultError } from '../../src/contract/errors.ts';
import { TOOLS } from '../../tools/catalogue.ts';
import { openTestVault } from '../kit/vault/temp_vault.ts';
import { CALLS, type ToolCall } from '../mcp/calls.ts';

const FOLDER = fileURLToPath(new URL('../../tools/', import.meta.url));
const NAMES = TOOLS.map(({ name }) => name);

/** A model pays for every character of the list. */
const DESCRIPTION_MAX_CHARACTERS = 300;
/** With three examples. */
const EXAMPLES_MAX_CHARACTERS = 1_500;
const TEXT_MAX_CHARACTERS = 600;
/** 15 services in detail and 200 ids. */
const LIST_TEXT_MAX_CHARACTERS = 5_000;

interface JsonSchema {
  readonly type?: unknown;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: unknown;
}

const inputOf = (tool: { readonly input: z.ZodType }) =>
  z.toJSONSchema(tool.input, { io: 'input' }) as JsonSchema;

test('the folder tools contains one file for each tool, named after it, and no other file', () => {
  const files = readdirSync(FOLDER).filter((file) => file !== 'catalogue.ts');
  expect(files.sort()).toStrictEqual(NAMES.map((name) => `${name}.ts`).sort());
});

test.each(NAMES)('the file of the tool %s exports it under its name', async (name) => {
  const module: Record<string, unknown> = await import(`../../tools/${name}.ts`);
  expect(module[name]).toBe(TOOLS.find((tool) => tool.name === name));
});

test('every tool name fits the limit of clients, which put a prefix before it', () => {
  // Clients name a tool mcp__SERVER__TOOL, in 64 characters; a server may be named with 32 of them.
  for (const name of NAMES) expect(`mcp__${'x'.repeat(32)}__${name}`.length, name).toBeLessThanOrEqual(64);
  for (const name of NAMES) expect(name).toMatch(/^[a-z]+(?:_[a-z]+)+$/);
});

describe.each(TOOLS.map((tool) => [tool.name, tool] as const))('the tool %s', (_name, tool) => {
  test('the tool has a short title and a description of full sentences', () => {
    expect(tool.title).toMatch(/^[A-Z][a-z ]+$/);
    expect(tool.description).toMatch(/^[A-Z].*\.$/s);
    const limit = tool.name === 'call_service' ? EXAMPLES_MAX_CHARACTERS : DESCRIPTION_MAX_CHARACTERS;
    expect(tool.description.length).toBeLessThan(limit);
  });

  test('the tool sets all four annotations, and a read-only tool is not destructive', () => {
    const { readOnlyHint, destructiveHint, idempotentHint, openWorldHint } = tool.annotations;
    for (const hint of [readOnlyHint, destructiveHint, idempotentHint, openWorldHint]) {
      expect(hint).toBeTypeOf('boolean');
    }
    expect(Object.keys(tool.annotations)).toHaveLength(4);
    if (readOnlyHint) expect(destructiveHint).toBe(false);
  });

  test('the tool describes every field of its input in a short sentence', () => {
    const { properties = {} } = inputOf(tool);
    expect(Object.keys(properties).length).toBeGreaterThan(0);
    for (const [field, { description = '' }] of Object.entries(properties)) {
      expect(description, field).toMatch(/^[A-Z].*\.$/s);
      expect(description.length, field).toBeLessThan(DESCRIPTION_MAX_CHARACTERS);
    }
  });

  test('the input and output schemas of the tool allow no additional properties', () => {
    expect(inputOf(tool)).toMatchObject({ type: 'object', additionalProperties: false });
    expect(z.toJSONSchema(tool.output, { io: 'output' })).toMatchObject({
      type: 'object',
      additionalProperties: false,
    });
  });

  test('the tool throws INVALID_INPUT for an unknown key and does not repeat it', async () => {
    const { caller, ...context } = await openTestVault();
    const right = CALLS.find(({ tool: name, fails }) => name === tool.name && fails === undefined);
    const refused = await failure(
      tool.call(context, caller(), { ...right?.input, sk_secret_key: 'sk_secret_value' }),
    );
    expect(refused.code).toBe('INVALID_INPUT');
    expect(refused.message).toContain('must not have a key that this operation does not know');
    expect(refused.message).not.toContain('sk_secret');
  });

  test.each([[undefined], [null], ['text'], [7], [[]]])(
    'the tool throws INVALID_INPUT for the input %j',
    async (input) => {
      const { caller, ...context } = await openTestVault();
      expect((await failure(tool.call(context, caller(), input))).code).toBe('INVALID_INPUT');
    },
  );
});

test('a result has a short text that names the next tool', async () => {
  const { caller, ...context } = await openTestVault();
  const lacking: string[] = [];
  for (const { tool, does, input, fails } of CALLS) {
    const called = TOOLS.find(({ name }) => name === tool)?.call(context, caller(), input);
    if (fails !== undefined) {
      await failure(called);
      continue;
    }
    const text = (await called)?.text ?? '';
    const limit = tool === 'list_services' ? LIST_TEXT_MAX_CHARACTERS : TEXT_MAX_CHARACTERS;
    expect(text.length, `${tool} ${does}`).toBeLessThan(limit);
    if (!NAMES.some((name) => text.includes(name))) lacking.push(`${tool} ${does}: ${text}`);
  }
  expect(lacking).toStrictEqual([]);
});

test('the result of every tool matches its output schema', async () => {
  const { caller, ...context } = await openTestVault();
  const right = CALLS.filter(({ fails }: ToolCall) => fails === undefined);
  for (const { tool, does, input } of right) {
    const found = TOOLS.find(({ name }) => name === tool);
    const result = await found?.call(context, caller(), input);
    const parsed = found?.output.safeParse(result?.structured);
    expect(parsed?.error?.issues, `${tool} ${does}`).toBeUndefined();
    expect(parsed?.data, `${tool} ${does}`).toStrictEqual(result?.structured);
  }
});

async function failure(call: Promise<unknown> | undefined): Promise<VaultError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof VaultError) return error;
    throw error;
  }
  throw new Error('the call did not fail');
}
