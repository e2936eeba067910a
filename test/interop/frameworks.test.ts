/** Every framework lists every tool, and calls each once with success and once with failure. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { removeFolder } from '../kit/remove_folder.ts';
import { CALLS } from '../mcp/calls.ts';
import { FRAMEWORKS, type Framework, type ServerTarget } from './frameworks.ts';
import { startServe } from './serve.ts';

interface Opened {
  readonly target: ServerTarget;
  close(): Promise<void>;
}

function newHome(): Opened {
  const home = mkdtempSync(join(tmpdir(), 'keyhold-interop-'));
  return { target: { home }, close: () => removeFolder(home) };
}

async function newServer(): Promise<Opened> {
  const served = await startServe();
  return { target: { url: served.url, key: served.key }, close: () => served.close() };
}

const EACH = Object.entries(FRAMEWORKS).flatMap(([name, connect]) =>
  (['stdio', 'HTTP'] as const).map((transport) => ({ name, connect, transport })),
);

describe.each(EACH)('$name over $transport', ({ connect, transport }) => {
  let framework: Framework;
  let end: () => Promise<void>;

  beforeAll(async () => {
    const { target, close } = transport === 'stdio' ? newHome() : await newServer();
    end = close;
    framework = await connect(target);
  });
  afterAll(async () => {
    await framework?.close();
    await end?.();
  });

  test('lists every tool', () => {
    const tools = [...new Set(CALLS.map(({ tool }) => tool))];
    expect([...framework.names].sort()).toStrictEqual(tools.sort());
  });

  test.each(CALLS.map((call) => [`${call.tool} ${call.does}`, call] as const))(
    '%s',
    async (_title, { tool, input, fails }) => {
      const { failed, text } = await framework.call(tool, input);
      if (fails === undefined) {
        expect(failed, text).not.toBe(true);
        expect(text).not.toMatch(/INVALID_INPUT|NOT_FOUND|INTERNAL/);
        return;
      }
      if (failed !== undefined) expect(failed, text).toBe(true);
      // Some frameworks validate the input themselves and never send an invalid one.
      if (fails === 'INVALID_INPUT' && !text.includes(fails)) expect(text).toMatch(/schema|valid|expected/i);
      else expect(text).toContain(fails);
    },
  );

  test('stores a value and reads back its status only', async () => {
    const value = 'lin_api_interop_7f3a9c';
    await framework.call('store_credential', {
      service_id: 'linear',
      credential_type: 'api_key',
      credential_value: value,
    });
    const { text } = await framework.call('get_credential_status', { service_id: 'linear' });
    expect(text).toContain('active');
    expect(text).not.toContain(value);
  });
});
