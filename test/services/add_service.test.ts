/** Adding a service of one's own: never over something, never outside the folder, whole or not at all. */
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../src/contract/errors.ts';
import { addService } from '../../src/services/add_service.ts';
import { ServiceCatalogue } from '../../src/services/catalogue.ts';
import { serviceId } from '../../src/services/service_id.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

function definition(values: Record<string, unknown> = {}) {
  return {
    slug: 'weather',
    name: 'Weather',
    description: 'The weather.',
    category: 'data',
    fields: [
      {
        field_id: 'weather_key',
        name: 'Key',
        description: 'The key.',
        required: true,
        secret: true,
        max_length: 100,
      },
    ],
    value_field: { api_key: 'weather_key' },
    credential_types: ['api_key'],
    hosts: ['api.weather.example'],
    injection: { in: 'header', headers: { 'X-Key': '{weather_key}' } },
    ...values,
  };
}

function place(): { root: string; folder: string } {
  const root = temporaryFolder();
  return { root, folder: path.join(root, 'home', 'services') };
}

/** Everything under a folder, to see that nothing was written. */
function tree(root: string): string[] {
  return fs.readdirSync(root, { recursive: true }).map(String).sort();
}

function refusal(
  json: unknown,
  folder: string,
  catalogue = ServiceCatalogue.load({ folder }),
  file_name = '/home/me/weather.json',
): VaultError {
  try {
    addService(json, file_name, folder, catalogue);
  } catch (error) {
    if (error instanceof VaultError) return error;
    throw error;
  }
  throw new Error('it was added');
}

describe('what is not added', () => {
  test.each([
    '../weather',
    '..',
    '.',
    '/etc/weather',
    'a/b',
    'a\\b',
    '.weather',
    'weather.',
    'weather\0',
    'con/..',
    'Weather',
    'w'.repeat(64),
    '',
  ])('a slug of %j leads nowhere', (slug) => {
    const { root, folder } = place();
    expect(refusal(definition({ slug }), folder)).toMatchObject({
      code: 'INVALID_INPUT',
      reason: 'service_definition_invalid',
    });
    expect(tree(root)).toEqual([]);
  });

  test.each(['../weather', 'io.github.a/../../weather', 'io.github.a/..', 'a/b/c'])(
    'a server named %j leads nowhere',
    (name) => {
      const { root, folder } = place();
      const json = { name, packages: [{ environmentVariables: [{ name: 'KEY', isSecret: true }] }] };
      expect(refusal(json, folder).code).toBe('INVALID_INPUT');
      expect(tree(root)).toEqual([]);
    },
  );

  test('a wrong definition is refused by file, place and reason, and nothing is written', () => {
    const { root, folder } = place();
    expect(refusal(definition({ hosts: ['*'] }), folder).message).toMatch(
      /^weather\.json: hosts\[0\]: must be a host name/,
    );
    expect(tree(root)).toEqual([]);
  });

  test('a name of a built-in service is refused', () => {
    const { root, folder } = place();
    expect(refusal(definition({ slug: 'linear' }), folder).message).toBe(
      'weather.json: slug: is taken by the built-in service linear; choose another',
    );
    expect(refusal(definition({ aliases: ['gh'] }), folder).message).toBe(
      'weather.json: aliases[0]: is taken by the built-in service github; choose another',
    );
    expect(
      refusal(
        {
          name: 'app.linear/linear',
          packages: [{ environmentVariables: [{ name: 'KEY', isSecret: true }] }],
        },
        folder,
      ).code,
    ).toBe('INVALID_INPUT');
    expect(tree(root)).toEqual([]);
  });

  test('an own service that is there already is CONFLICT and stays as it is', () => {
    const { folder } = place();
    const catalogue = ServiceCatalogue.load({ folder });
    addService(definition(), 'weather.json', folder, catalogue);
    const before = fs.readFileSync(path.join(folder, 'weather.json'), 'utf8');
    for (const known of [catalogue, ServiceCatalogue.load({ folder }), ServiceCatalogue.load()]) {
      const error = refusal(definition({ name: 'Other' }), folder, known);
      expect(error.code).toBe('CONFLICT');
      expect(error.message).toBe(
        'This service is there already: remove or edit weather.json in the folder of service definitions.',
      );
    }
    expect(fs.readFileSync(path.join(folder, 'weather.json'), 'utf8')).toBe(before);
    expect(fs.readdirSync(folder)).toEqual(['weather.json']);
  });

  test('CONFLICT names the file that the service really comes from', () => {
    const { folder } = place();
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(path.join(folder, 'my-weather.json'), JSON.stringify(definition()));
    expect(refusal(definition(), folder).message).toContain('remove or edit my-weather.json');
  });

  test('a link where the file should go is not followed', () => {
    const { root, folder } = place();
    fs.mkdirSync(folder, { recursive: true });
    const outside = path.join(root, 'outside.json');
    fs.symlinkSync(outside, path.join(folder, 'weather.json'));
    expect(refusal(definition(), folder, ServiceCatalogue.load()).code).toBe('CONFLICT');
    expect(fs.existsSync(outside)).toBe(false);
  });

  test('a file that came in at the last moment is CONFLICT, and stays', () => {
    const { folder } = place();
    fs.mkdirSync(folder, { recursive: true });
    const target = path.join(folder, 'weather.json');
    const catalogue = ServiceCatalogue.load({ folder });
    // As late as can be: when the new file is closed, and only its name is to be given.
    const genuine = fs.closeSync;
    fs.closeSync = (file) => {
      genuine(file);
      if (!fs.existsSync(target)) fs.writeFileSync(target, 'somebody else');
    };
    try {
      expect(refusal(definition(), folder, catalogue).code).toBe('CONFLICT');
    } finally {
      fs.closeSync = genuine;
    }
    expect(fs.readFileSync(target, 'utf8')).toBe('somebody else');
    expect(fs.readdirSync(folder)).toEqual(['weather.json']);
  });

  test('a folder that is a file is UNAVAILABLE, and the message names no path', () => {
    const { root } = place();
    const folder = path.join(root, 'services');
    fs.writeFileSync(folder, '');
    const error = refusal(definition(), folder, ServiceCatalogue.load());
    expect(error.code).toBe('UNAVAILABLE');
    expect(error.message).not.toContain(root);
  });

  test('an alias that an own service added in this process has is refused', () => {
    const { folder } = place();
    const catalogue = ServiceCatalogue.load({ folder });
    addService(definition({ aliases: ['wttr'] }), 'weather.json', folder, catalogue);
    expect(refusal(definition({ slug: 'climate', aliases: ['WTTR'] }), folder, catalogue).message).toContain(
      'aliases[0]: is taken by weather.json',
    );
    expect(() => ServiceCatalogue.load({ folder })).not.toThrow();
  });
});

describe('what is added', () => {
  test('is in a private file, found at once, and found again after loading anew', () => {
    const { folder } = place();
    const catalogue = ServiceCatalogue.load({ folder });
    const service = addService(definition(), 'anything.json', folder, catalogue);
    expect(service.id).toBe(serviceId('weather'));
    expect(catalogue.get(service.id)).toEqual(service);
    expect(catalogue.list('weather')).toContainEqual(service);
    expect(ServiceCatalogue.load({ folder }).get('weather')).toEqual(service);
    expect(fs.readdirSync(folder)).toEqual(['weather.json']);
    expect(fs.statSync(path.join(folder, 'weather.json')).mode & 0o777).toBe(0o600);
    expect(fs.statSync(folder).mode & 0o777).toBe(0o700);
    expect(JSON.parse(fs.readFileSync(path.join(folder, 'weather.json'), 'utf8'))).toEqual(definition());
  });

  test('may be a server.json, which is written as a definition', () => {
    const { folder } = place();
    const json = {
      name: 'io.github.acme/forecast',
      description: 'Forecasts.',
      version: '1.0.0',
      remotes: [
        {
          type: 'streamable-http',
          url: 'https://mcp.forecast.example/mcp',
          headers: [{ name: 'X-API-Key', isSecret: true, isRequired: true }],
        },
      ],
    };
    const service = addService(json, 'server.json', folder, ServiceCatalogue.load({ folder }));
    expect(service).toMatchObject({
      slug: 'forecast',
      hosts: ['mcp.forecast.example'],
      value_field: { api_key: 'x_api_key' },
    });
    expect(ServiceCatalogue.load({ folder }).get('forecast')).toEqual(service);
  });

  test('a server.json that lies in the folder is taken as well', () => {
    const { folder } = place();
    fs.mkdirSync(folder, { recursive: true });
    const json = {
      name: 'io.github.acme/tides',
      packages: [{ environmentVariables: [{ name: 'TIDES_KEY', isRequired: true }] }],
    };
    fs.writeFileSync(path.join(folder, 'server.json'), JSON.stringify(json));
    expect(ServiceCatalogue.load({ folder }).get('tides').fields).toMatchObject([
      { field_id: 'tides_key', env: 'TIDES_KEY', secret: true },
    ]);
  });
});
