/** The search of tools by the words of a query. */
import { expect, test } from 'vitest';
import { ServiceCatalogue } from '../../src/services/catalogue.ts';
import { searchTools } from '../../src/services/tools/search.ts';
import { fullToolName } from '../../src/services/tools/tools.ts';

const services = ServiceCatalogue.load().list();
const namesFor = (query: string) =>
  searchTools(services, query).map(({ service, tool }) => fullToolName(service, tool));

test('a search ignores the words of a query after the sixteenth', () => {
  const unknown = Array.from({ length: 16 }, (_, at) => `zzq${at}`);
  expect(namesFor([...unknown, 'github'].join(' '))).toEqual([]);
  expect(namesFor([...unknown.slice(1), 'github'].join(' '))).toContain('github__request');
});

test('a search returns the tool whose name and service match first', () => {
  expect(namesFor('github list issues')[0]).toBe('github__list_issues');
});
