/** Without an endpoint no code of OpenTelemetry is loaded, as the coverage of the built program shows. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { startServeProcess } from '../../kit/http/http_server.ts';
import { startOtlpReceiver } from '../../kit/servers/otlp_receiver.ts';
import { temporaryFolder } from '../../kit/vault/temp_vault.ts';
import { RawServer } from '../../mcp/raw_server.ts';

/** esbuild writes the path of each module before its code. prom-client has always loaded the API, which is small. */
const SDK_MODULE = /^\/\/ \S*node_modules\/@opentelemetry\/(?!api\/)([\w-]+)/gm;

/** The packages of the SDK in the files that a program has loaded. */
function loadedPackages(folder: string): string[] {
  const files = new Set(
    readdirSync(folder).flatMap((name) => {
      const { result } = JSON.parse(readFileSync(join(folder, name), 'utf8')) as {
        result: { url: string }[];
      };
      return result.map(({ url }) => url).filter((url) => url.includes('/dist/'));
    }),
  );
  expect(files.size).toBeGreaterThan(5);
  const texts = [...files].map((url) => readFileSync(fileURLToPath(url), 'utf8'));
  return [...new Set(texts.flatMap((text) => [...text.matchAll(SDK_MODULE)].map((match) => match[1] ?? '')))];
}

async function serve(env: NodeJS.ProcessEnv): Promise<string[]> {
  const folder = temporaryFolder();
  const server = await startServeProcess({ env: { ...env, NODE_V8_COVERAGE: folder } });
  await fetch(`${server.url}/metrics`);
  await fetch(`${server.url}/v1/stacks`, { headers: { authorization: `Bearer ${server.admin_key}` } });
  expect(await server.end()).toEqual({ code: 0, signal: null });
  return loadedPackages(folder);
}

test('keyhold serve loads no SDK of OpenTelemetry unless there is an endpoint', async () => {
  const { url } = await startOtlpReceiver();
  const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: url };
  expect(await serve({ OTEL_SERVICE_NAME: 'a', OTEL_TRACES_SAMPLER: 'always_on' })).toStrictEqual([]);
  expect(await serve({ ...endpoint, OTEL_SDK_DISABLED: 'true' })).toStrictEqual([]);
  expect(await serve(endpoint)).toEqual(expect.arrayContaining(['sdk-metrics', 'otlp-exporter-base']));
});

test('keyhold mcp loads no SDK of OpenTelemetry unless there is an endpoint', async () => {
  const { url } = await startOtlpReceiver();
  for (const [env, expected] of [
    [{}, []],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: url }, expect.arrayContaining(['sdk-trace'])],
  ] as const) {
    const folder = temporaryFolder();
    const server = new RawServer(temporaryFolder(), '2025-11-25', { ...env, NODE_V8_COVERAGE: folder });
    await server.open();
    await server.call('list_services', { query: 'github' });
    expect(await server.end()).toMatchObject({ code: 0 });
    expect(loadedPackages(folder)).toEqual(expected);
  }
});
