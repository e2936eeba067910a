/** The catalog of the SuperAI Flow dialect. */
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { superai } from '../../src/rest/superai/dialect.ts';
import { startHttpServer, type TestHttpServer } from '../kit/http/http_server.ts';
import {
  DOCUMENTED_PROVIDERS,
  DOCUMENTED_TYPES,
  EARLIER_TYPES,
  IntegrationCatalogResponse,
} from './superai_shapes.ts';

async function entriesOf(server: TestHttpServer): Promise<z.infer<typeof IntegrationCatalogResponse>[]> {
  const response = await server.request('/integrations/catalog?all=true');
  return z.array(IntegrationCatalogResponse).parse(await response.json());
}

describe('the SuperAI catalog', () => {
  test("GET /integrations/catalog lists only providers and types of SuperAI's present enumerations", async () => {
    const server = await startHttpServer({ dialects: [superai] });
    const Documented = IntegrationCatalogResponse.extend({
      provider: z.enum(DOCUMENTED_PROVIDERS),
      credential_types: z.array(z.enum(DOCUMENTED_TYPES)).min(1),
    });
    for (const query of ['', '?all=false']) {
      const response = await server.request(`/integrations/catalog${query}`);
      const entries = z.array(Documented).parse(await response.json());
      expect(entries.map(({ provider }) => provider).toSorted()).toEqual(DOCUMENTED_PROVIDERS.toSorted());
    }
    const invalid = await server.request('/integrations/catalog?all=maybe');
    expect(invalid.status).toBe(422);
  });

  test('GET /integrations/catalog?all=true returns every service in the documented format with a schema of its fields', async () => {
    const server = await startHttpServer({ dialects: [superai] });
    const response = await server.request('/api/integrations/catalog?all=true');
    expect(response.status).toBe(200);
    const json: unknown[] = JSON.parse(await response.text());
    const entries = z.array(IntegrationCatalogResponse).parse(json);
    expect(Object.keys(Object(json[0]))).toEqual(Object.keys(IntegrationCatalogResponse.shape));
    expect(entries.map(({ provider }) => provider)).toEqual(
      server.vault.services.list().map(({ slug }) => slug),
    );
    for (const { credential_providers } of entries) {
      for (const { credential_schema } of credential_providers ?? [])
        expect(() => z.fromJSONSchema(credential_schema)).not.toThrow();
    }
    const sftp = entries.find(({ provider }) => provider === 'sftp');
    expect(sftp).toMatchObject({
      id: server.vault.services.get('sftp').id,
      category: 'storage',
      display_name: 'SFTP',
      credential_types: ['user_password', 'key_file'],
    });
    const schema = z.fromJSONSchema(sftp?.credential_providers?.[0]?.credential_schema ?? {});
    expect(schema.safeParse({ host: 'h', username: 'u', port: '22', more: 'x' }).success).toBe(true);
    for (const wrong of [{ host: 'h' }, { host: 'h', username: 1 }, { host: 'a b', username: 'u' }])
      expect(schema.safeParse(wrong).success).toBe(false);
  });

  test('GET /integrations/catalog maps each service category to one documented category', async () => {
    const server = await startHttpServer({ dialects: [superai] });
    const entries = await entriesOf(server);
    const categories: Record<string, string[]> = {};
    for (const { slug, category } of server.vault.services.list()) {
      const mapped = entries.find(({ provider }) => provider === slug)?.category ?? '';
      categories[category] = [...new Set([...(categories[category] ?? []), mapped])];
    }
    expect(categories).toEqual({
      ai: ['agent_in_the_loop'],
      analytics: ['automation'],
      automation: ['automation'],
      cloud: ['automation'],
      communication: ['messaging'],
      crm: ['automation'],
      data: ['database'],
      design: ['automation'],
      developer: ['automation'],
      email: ['messaging'],
      finance: ['automation'],
      identity: ['automation'],
      monitoring: ['automation'],
      other: ['automation'],
      productivity: ['automation'],
      search: ['automation'],
      social: ['messaging'],
      storage: ['storage'],
    });
  });

  test('GET /integrations/catalog maps each credential type to a documented type', async () => {
    const server = await startHttpServer({ dialects: [superai] });
    const entries = await entriesOf(server);
    const documented_names = {
      bearer: 'api_key',
      basic: 'user_password',
      connection_string: 'user_password',
    } as const;
    const known: readonly string[] = [...DOCUMENTED_TYPES, ...EARLIER_TYPES];
    for (const { slug, credential_types } of server.vault.services.list()) {
      const mapped = credential_types
        .map((type) =>
          Object.hasOwn(documented_names, type)
            ? documented_names[type as keyof typeof documented_names]
            : type,
        )
        .filter((type) => known.includes(type));
      const expected = mapped.length === 0 ? ['api_key'] : [...new Set(mapped)];
      expect([slug, entries.find(({ provider }) => provider === slug)?.credential_types]).toEqual([
        slug,
        expected,
      ]);
    }
  });

  test('the schemas in GET /integrations/catalog mark exactly the secret fields as write-only passwords', async () => {
    const server = await startHttpServer({ dialects: [superai] });
    const entry = (await entriesOf(server)).find(({ provider }) => provider === 'sftp');
    const { properties } = z
      .object({ properties: z.record(z.string(), z.record(z.string(), z.unknown())) })
      .parse(entry?.credential_providers?.[0]?.credential_schema);
    const { fields } = server.vault.services.get('sftp');
    expect(Object.entries(properties).map(([id, field]) => [id, field.writeOnly, field.format])).toEqual(
      fields.map(({ field_id, secret }) =>
        secret ? [field_id, true, 'password'] : [field_id, undefined, undefined],
      ),
    );
    expect(new Set(fields.map(({ secret }) => secret))).toEqual(new Set([true, false]));
  });

  test('GET /integrations/catalog reports which services use OAuth and lists only the allowed services', async () => {
    const server = await startHttpServer({ dialects: [superai] });
    const key = await server.key({ scopes: ['audit:read'], allowed_services: ['google', 'groq'] });
    const entries = z
      .array(IntegrationCatalogResponse)
      .parse(await (await server.request('/integrations/catalog?all=true', { key })).json());
    expect(entries.map((entry) => [entry.provider, entry.credential_providers?.[0]?.is_oauth])).toEqual([
      ['google', true],
      ['groq', false],
    ]);
  });
});
