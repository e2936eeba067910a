/** Finding services: by slug, UUID or alias, suggestions for an unknown id, and text search. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../src/contract/errors.ts';
import { ServiceCatalogue } from '../../src/services/catalogue.ts';
import { serviceId } from '../../src/services/definition.ts';
import { shortestMs } from '../kit/shortest_ms.ts';

const catalogue = ServiceCatalogue.load();

function refusal(service_id: string): VaultError {
  try {
    catalogue.get(service_id);
  } catch (error) {
    if (error instanceof VaultError) return error;
    throw error;
  }
  throw new Error('there is such a service');
}

function nearest(service_id: string): string[] {
  return /Nearest: (.*)\.$/.exec(refusal(service_id).message)?.[1]?.split(', ') ?? [];
}

function slugs(query?: string): string[] {
  return catalogue.list(query).map((service) => service.slug);
}

describe('an unknown service id', () => {
  test.each([
    ['an empty string', ''],
    ['a space', ' '],
    ['the prototype', '__proto__'],
    ['a member of every object', 'constructor'],
    ['another member', 'hasOwnProperty'],
    ['a path', '../../etc/passwd'],
    ['a path that leads to a definition', 'definitions/linear.json'],
    ['a file', 'linear.json'],
    ['a slug with a null character', 'linear\0'],
    ['an emoji', '🔑'],
    ['half an emoji', '\ud83d'],
    ['an unknown UUID', '00000000-0000-4000-8000-000000000000'],
    ['a million letters', 'linear'.repeat(200_000)],
    ['a million separators', '-'.repeat(1_000_000)],
  ])('get throws NOT_FOUND and find returns undefined for an id that is %s', (_, service_id) => {
    const started = performance.now();
    expect(refusal(service_id)).toMatchObject({ code: 'NOT_FOUND' });
    expect(refusal(service_id).message.length).toBeLessThan(200);
    expect(catalogue.find(service_id)).toBeUndefined();
    expect(performance.now() - started).toBeLessThan(500);
  });

  test('the error for an unknown service id does not repeat it, because it may be a misplaced secret', () => {
    expect(refusal('sk-proj-abc123').message).toBe('No such service. List the services to see their ids.');
    expect(refusal('lin_api_abc123def456789').message).not.toContain('lin_api');
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 200 }), (service_id) => {
        if (catalogue.find(service_id) !== undefined) return;
        expect(refusal(service_id).message).toMatch(
          /^No such service\. (?:Nearest: [a-z0-9_, ]+|List the services to see their ids)\.$/,
        );
      }),
      { numRuns: 50 },
    );
  });
});

describe('the suggested slugs', () => {
  test.each([
    ['linea', 'linear'],
    ['lnear', 'linear'],
    ['lienar', 'linear'],
    ['Google Drive', 'google_drive'],
    ['google-drive', 'google_drive'],
    ['googledrive', 'google_drive'],
    ['postgre', 'postgresql'],
    ['postgres_db', 'postgresql'],
    ['githb', 'github'],
    ['github-mcp-server', 'github'],
    ['open-ai', 'openai'],
    ['anthropic_claude', 'anthropic'],
    ['twiter', 'x'],
    ['hugging face', 'huggingface'],
  ])('the suggested slugs for %s begin with %s', (service_id, expected) => {
    expect(nearest(service_id)[0]).toBe(expected);
  });

  test('the suggested slugs are at most five, and all are slugs of services', () => {
    expect(nearest('goog').length).toBe(5);
    for (const slug of nearest('goog')) expect(catalogue.find(slug)?.slug).toBe(slug);
  });

  test('the suggested slugs are empty for an id that is similar to no service', () => {
    expect(nearest('qqqqzzzzwwww')).toEqual([]);
  });
});

describe('find and get', () => {
  test.each([
    ['slug', 'openai'],
    ['slug in mixed case', 'OpenAI'],
    ['alias', 'svc_openai_001'],
    ['UUID', serviceId('openai')],
    ['UUID in upper case', serviceId('openai').toUpperCase()],
  ])('get and find return the service by %s', (_, service_id) => {
    expect(catalogue.get(service_id)).toMatchObject({
      slug: 'openai',
      name: 'OpenAI',
      id: serviceId('openai'),
    });
    expect(catalogue.find(service_id)).toBe(catalogue.get('openai'));
  });

  test('get returns every service by slug, UUID and alias', () => {
    for (const service of catalogue.list()) {
      for (const id of [service.slug, service.id, ...(service.aliases ?? [])])
        expect(catalogue.get(id)).toBe(service);
    }
  });
});

describe('listing services', () => {
  test('list sorts the services by slug', () => {
    const all = slugs();
    expect(all).toEqual([...all].sort());
    expect(slugs('')).toEqual(all);
    expect(slugs('  ')).toEqual(all);
  });

  test('list returns an array that the caller can change without changing the catalogue', () => {
    const before = slugs();
    catalogue.list().length = 0;
    expect(slugs()).toEqual(before);
  });

  test.each([
    ['LINEAR', 'linear'],
    ['open-ai', 'openai'],
    ['gmail', 'gmail'],
    ['gcal', 'google_calendar'],
    ['twitter', 'x'],
    ['merge requests', 'gitlab'],
    ['spreadsheets', 'google_sheets'],
    ['gle dri', 'google_drive'],
  ])('list with the query %s finds %s', (query, expected) => {
    expect(slugs(query)).toContain(expected);
  });

  test.each([
    ['linear', 'linear'],
    ['linear key', 'linear'],
    ['OpenAI API key', 'openai'],
    ['my key for OpenAI, please', 'openai'],
    ['LINEAR_API_KEY', 'linear'],
    ['DD_API_KEY', 'datadog'],
    ['github personal access token', 'github'],
    ['GitHub Enterprise token', 'github_enterprise'],
    ['twitter bearer token', 'x'],
    ['svc_openai_001', 'openai'],
    [serviceId('openai'), 'openai'],
    ['linear project tracker thing', 'linear'],
    ['stripe payment gateway for invoices', 'stripe'],
    ['azure openai', 'azure_openai'],
    ['google calendar', 'google_calendar'],
  ])('list with the query %j has %s first', (query, expected) => {
    expect(slugs(query)[0]).toBe(expected);
  });

  test('list has only the services that match every significant term, if there are any', () => {
    expect(slugs('google mail')).toEqual(['gmail']);
    expect(slugs('linear key')).toEqual(['linear']);
  });

  test('list has the services with the most words of a query, if none has all of them', () => {
    expect(slugs('google nonsense')).toEqual(slugs('google'));
    expect(slugs('nonsense')).toEqual([]);
  });

  test('list returns services that match equally well in the order of their slugs, every time', () => {
    const found = slugs('google drive docs sheets');
    expect(found.slice(0, 3)).toEqual(['google_docs', 'google_drive', 'google_sheets']);
    expect(
      ServiceCatalogue.load()
        .list('google drive docs sheets')
        .map(({ slug }) => slug),
    ).toEqual(found);
  });

  test('list with a long query of a catalogue with two thousand services takes less than half a second', () => {
    const [template] = catalogue.list();
    if (template === undefined) throw new Error('there are no services');
    const many = ServiceCatalogue.of(
      Array.from({ length: 2_000 }, (_, at) => ({
        ...template,
        slug: `service-${at}`,
        id: serviceId(`service-${at}`),
        name: `Service ${at}`,
        aliases: [],
      })),
    );
    const started = performance.now();
    expect(many.list('find me the access token of service number 1999')[0]?.slug).toBe('service-1999');
    many.list('ab '.repeat(85));
    expect(performance.now() - started).toBeLessThan(500);
  });

  test('list finds the services of a category, and two letters match only the start of a term', () => {
    expect(slugs('ai')).toEqual(expect.arrayContaining(['openai', 'anthropic', 'mistral']));
    expect(slugs('ai')).not.toContain('gmail');
  });

  test.each([['🔑'], ['%%%'], ['constructor'], ['.*']])('list with the query %s finds nothing', (query) => {
    expect(slugs(query)).toEqual([]);
  });

  test('list throws INVALID_INPUT for a query that is too long', () => {
    expect(() => catalogue.list('a'.repeat(256))).toThrow(VaultError);
    expect(slugs('a'.repeat(255))).toEqual([]);
  });
});

test('loading the catalogue takes less time than the limit for every start', () => {
  // Measured 5 to 20 ms; the limit only detects work that must not happen at every start.
  expect(shortestMs(() => ServiceCatalogue.load())).toBeLessThan(250);
});
