/** The variables of a run: names, files, templates and conflicts. */
import { describe, expect, test } from 'vitest';
import { ServiceDefinition } from '../../../src/contract/service/service.ts';
import { fillTemplate, planVariables, type Source } from '../../../src/use/run/variables.ts';
import { ACME } from '../../kit/vault/custom_service.ts';

const [KEY] = ACME.fields;

function source(changes: object, fields: readonly string[] = ['acme_key']): Source {
  const service = ServiceDefinition.parse({ ...ACME, ...changes });
  return { service: { ...service, id: '0' }, name: null, fields };
}

const named = (slug: string, ...env: string[]) => source({ slug, fields: [{ ...KEY, env }] });

describe('planVariables', () => {
  test('two services with the same variable are refused, with the names of both', () => {
    expect(() => planVariables([named('one', 'TOKEN'), named('two', 'OTHER', 'TOKEN')])).toThrow(
      'one and two both set the variable TOKEN. Choose one of them with --service.',
    );
  });

  test('a service without variables is refused', () => {
    expect(() => planVariables([source({})])).toThrow(
      /^The definition of acme names no environment variable/,
    );
  });

  test('every name of a field is set, as a value and as a file', () => {
    const both = source({ fields: [{ ...KEY, env: ['A', 'B'], env_file: ['C'] }] });
    expect(planVariables([both]).map(({ name, is_file }) => [name, is_file])).toEqual([
      ['A', false],
      ['B', false],
      ['C', true],
    ]);
  });

  test('a variable with a field that is not stored is left out, unless the field has a default', () => {
    const fields = [
      { ...KEY, env: ['KEY'] },
      { ...KEY, field_id: 'host', required: false, secret: false, env: ['HOST'] },
      { ...KEY, field_id: 'port', required: false, secret: false, env: ['PORT'], default: '443' },
    ];
    const environment = { URL: 'https://{host}', PORT_URL: 'https://x.example:{port}' };
    const names = (stored: readonly string[]) =>
      planVariables([source({ fields, environment }, stored)]).map(({ name }) => name);
    expect(names(['acme_key'])).toEqual(['KEY', 'PORT', 'PORT_URL']);
    expect(names(['acme_key', 'host'])).toEqual(['KEY', 'HOST', 'PORT', 'URL', 'PORT_URL']);
  });
});

describe('fillTemplate', () => {
  const fill = (template: string, values: Record<string, string>) =>
    fillTemplate(template, (id) => values[id]);

  test('a template with a missing or an empty value has no text', () => {
    expect(fill('https://{host}', {})).toBeUndefined();
    expect(fill('https://{host}/{path}', { host: 'a.example', path: '' })).toBeUndefined();
  });

  test('a value in a URL is percent-encoded, except in host and port', () => {
    expect(
      fill('postgresql://{user}:{password}@{host}/{database}?sslmode={mode}', {
        user: 'a@b',
        password: 'p:/?#[]@ %é',
        host: 'db.example:5432',
        database: 'x/y',
        mode: 'a&b=c',
      }),
    ).toBe('postgresql://a%40b:p%3A%2F%3F%23%5B%5D%40%20%25%C3%A9@db.example:5432/x%2Fy?sslmode=a%26b%3Dc');
  });

  test('a value outside of a URL is unchanged, also if it is a URL or looks like a placeholder', () => {
    expect(fill('{dsn}', { dsn: 'https://a:b@c/d e' })).toBe('https://a:b@c/d e');
    expect(fill('user={user} key={key}', { user: '{key}', key: '$&' })).toBe('user={key} key=$&');
  });
});
