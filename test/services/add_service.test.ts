/** Adding a custom service: never overwrites a file, never writes outside the folder, never writes a part of a file. */
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../src/contract/errors.ts';
import { SERVICES_MAX } from '../../src/contract/limits.ts';
import { addService } from '../../src/services/add_service.ts';
import { ServiceCatalogue } from '../../src/services/catalogue.ts';
import { serviceId } from '../../src/services/definition.ts';
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

function newFolders(): { root: string; folder: string } {
  const root = temporaryFolder();
  return { root, folder: path.join(root, 'home', 'services') };
}

/** All paths under a folder, to check that nothing was written. */
function listPaths(root: string): string[] {
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

describe('addService with invalid input', () => {
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
  ])('addService throws INVALID_INPUT for the slug %j and writes nothing', (slug) => {
    const { root, folder } = newFolders();
    expect(refusal(definition({ slug }), folder)).toMatchObject({
      code: 'INVALID_INPUT',
      reason: 'service_definition_invalid',
    });
    expect(listPaths(root)).toEqual([]);
  });

  test.each(['../weather', 'io.github.a/../../weather', 'io.github.a/..', 'a/b/c'])(
    'addService throws INVALID_INPUT for a server.json with the name %j and writes nothing',
    (name) => {
      const { root, folder } = newFolders();
      const json = { name, packages: [{ environmentVariables: [{ name: 'KEY', isSecret: true }] }] };
      expect(refusal(json, folder).code).toBe('INVALID_INPUT');
      expect(listPaths(root)).toEqual([]);
    },
  );

  test('addService rejects an invalid definition with file, path and reason, and writes nothing', () => {
    const { root, folder } = newFolders();
    expect(refusal(definition({ hosts: ['*'] }), folder).message).toMatch(
      /^weather\.json: hosts\[0\]: must be a host name/,
    );
    expect(listPaths(root)).toEqual([]);
  });

  test('addService rejects a slug or alias of a built-in service', () => {
    const { root, folder } = newFolders();
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
    expect(listPaths(root)).toEqual([]);
  });

  test('addService throws CONFLICT for an existing custom service and leaves its file unchanged', () => {
    const { folder } = newFolders();
    const catalogue = ServiceCatalogue.load({ folder });
    addService(definition(), 'weather.json', folder, catalogue);
    const before = fs.readFileSync(path.join(folder, 'weather.json'), 'utf8');
    for (const known of [catalogue, ServiceCatalogue.load({ folder }), ServiceCatalogue.load()]) {
      const error = refusal(definition({ name: 'Other' }), folder, known);
      expect(error.code).toBe('CONFLICT');
      expect(error.message).toBe(
        'This service exists already. Remove or edit weather.json in the folder of service definitions.',
      );
    }
    expect(fs.readFileSync(path.join(folder, 'weather.json'), 'utf8')).toBe(before);
    expect(fs.readdirSync(folder)).toEqual(['weather.json']);
  });

  test('addService names the file from which an existing custom service was loaded', () => {
    const { folder } = newFolders();
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(path.join(folder, 'my-weather.json'), JSON.stringify(definition()));
    expect(refusal(definition(), folder).message).toContain('Remove or edit my-weather.json');
  });

  test('addService throws CONFLICT for a symbolic link with the name of the file and does not follow it', () => {
    const { root, folder } = newFolders();
    fs.mkdirSync(folder, { recursive: true });
    const outside = path.join(root, 'outside.json');
    fs.symlinkSync(outside, path.join(folder, 'weather.json'));
    expect(refusal(definition(), folder, ServiceCatalogue.load()).code).toBe('CONFLICT');
    expect(fs.existsSync(outside)).toBe(false);
  });

  test('addService throws CONFLICT if another process creates the file first, and leaves it unchanged', () => {
    const { folder } = newFolders();
    fs.mkdirSync(folder, { recursive: true });
    const target = path.join(folder, 'weather.json');
    const catalogue = ServiceCatalogue.load({ folder });
    // As late as possible: after the temporary file is closed, before it is linked to its name.
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

  test('addService throws UNAVAILABLE without a path if the folder is a file', () => {
    const { root } = newFolders();
    const folder = path.join(root, 'services');
    fs.writeFileSync(folder, '');
    const error = refusal(definition(), folder, ServiceCatalogue.load());
    expect(error.code).toBe('UNAVAILABLE');
    expect(error.message).not.toContain(root);
  });

  test('addService rejects an alias of a custom service that was added in this process', () => {
    const { folder } = newFolders();
    const catalogue = ServiceCatalogue.load({ folder });
    addService(definition({ aliases: ['wttr'] }), 'weather.json', folder, catalogue);
    expect(refusal(definition({ slug: 'climate', aliases: ['WTTR'] }), folder, catalogue).message).toContain(
      'aliases[0]: is taken by weather.json',
    );
    expect(() => ServiceCatalogue.load({ folder })).not.toThrow();
  });

  test('addService removes its file again if another process has added a service with the same alias', () => {
    const { folder } = newFolders();
    const known = ServiceCatalogue.load({ folder });
    addService(definition({ aliases: ['wttr'] }), 'weather.json', folder, ServiceCatalogue.load({ folder }));
    const error = refusal(definition({ slug: 'climate', name: 'Climate', aliases: ['wttr'] }), folder, known);
    expect(error.message).toContain('is taken by');
    expect(fs.readdirSync(folder)).toEqual(['weather.json']);
    expect(ServiceCatalogue.load({ folder }).find('wttr')?.slug).toBe('weather');
  });

  test('addService writes no file if there are too many services', () => {
    const { folder } = newFolders();
    fs.mkdirSync(folder, { recursive: true });
    const count = SERVICES_MAX - ServiceCatalogue.load().list().length;
    for (let at = 0; at < count; at += 1) {
      const slug = `weather-${lettersOf(at)}`;
      fs.writeFileSync(path.join(folder, `${slug}.json`), JSON.stringify(definition({ slug, name: slug })));
    }
    const full = ServiceCatalogue.load({ folder });
    expect(refusal(definition(), folder, full).message).toBe(
      `weather.json: exceeds the limit of ${SERVICES_MAX} services`,
    );
    expect(fs.readdirSync(folder)).toHaveLength(count);
  });
});

/** A number without digits: some digits look like letters. */
function lettersOf(number: number): string {
  return [...number.toString(10)].map((digit) => 'abcdefghjk'.at(Number(digit))).join('');
}

describe('addService', () => {
  test('addService writes a private file, and the catalogue finds the service at once and after a reload', () => {
    const { folder } = newFolders();
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

  test('addService accepts a server.json and writes it as a definition', () => {
    const { folder } = newFolders();
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

  test('loading the catalogue converts a server.json in the folder', () => {
    const { folder } = newFolders();
    fs.mkdirSync(folder, { recursive: true });
    const json = {
      name: 'io.github.acme/tides',
      packages: [{ environmentVariables: [{ name: 'TIDES_KEY', isRequired: true }] }],
    };
    fs.writeFileSync(path.join(folder, 'server.json'), JSON.stringify(json));
    expect(ServiceCatalogue.load({ folder }).get('tides').fields).toMatchObject([
      { field_id: 'tides_key', env: ['TIDES_KEY'], secret: true },
    ]);
  });
});
