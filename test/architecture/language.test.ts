/** Rules about language: the words of language.ts in file names, identifiers, comments, messages and test titles. */
import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ROOT, readSources } from '../kit/source_tree.ts';
import { checkLanguage, findStruck, findStruckName, type Match } from './language.ts';

const COMMENT_LINES_MAX_PERCENT = 3;
/** About the words themselves. */
const EXCEPTIONS = ['test/architecture/language.ts', 'test/architecture/language.test.ts'];
/** Reads and writes the columns of format 1 by their names. */
const COLUMN_NAMES = 'test/kit/vault/sqlite_database.ts';

const reports = [...readSources('src', 'tools', 'test').values()]
  .filter(({ path }) => !EXCEPTIONS.includes(path) && !path.includes('/node_modules/'))
  .map(({ path, text }) => ({ path, ...checkLanguage(path, text) }));

function matchesOf(...kinds: readonly Match['kind'][]): string[] {
  return reports.flatMap(({ path, matches }) =>
    matches
      .filter(({ kind }) => kinds.includes(kind))
      .map(({ line, text, found, instead }) => `${path}:${line}: ${text} (${found}: ${instead})`),
  );
}

describe('the language of the source', () => {
  test('no file or folder name contains a struck word', () => {
    expect(matchesOf('file')).toEqual([]);
  });

  test('no identifier contains a struck word', () => {
    const matches = matchesOf('export', 'identifier').filter((match) => !match.startsWith(COLUMN_NAMES));
    expect(matches).toEqual([]);
  });

  test(`at most ${COMMENT_LINES_MAX_PERCENT} % of the comment lines contain a struck phrase`, () => {
    const lines = reports.reduce((sum, { comment_lines }) => sum + comment_lines, 0);
    const matching = reports.reduce((sum, { matching_comment_lines }) => sum + matching_comment_lines, 0);
    const percent = (100 * matching) / lines;
    expect(percent, matchesOf('comment').join('\n')).toBeLessThanOrEqual(COMMENT_LINES_MAX_PERCENT);
  });

  test('no log message, error message or command line text contains a struck phrase', () => {
    expect(matchesOf('message')).toEqual([]);
  });

  test('no test title contains a struck phrase', () => {
    expect(matchesOf('title')).toEqual([]);
  });
});

describe('the search for struck phrases', () => {
  test.each([
    ['The answer is sent.', 'answer'],
    ['A draft of the file.', 'draft'],
    ['Nobody gets past the gate.', 'Nobody'],
    ['Reads in one turn of the event loop.', 'turn'],
    ['What a write does besides.', 'What'],
  ])('finds one in: %s', (text, found) => {
    expect(findStruck(text)[0]?.found).toBe(found);
  });

  test.each([
    'The response is sent.',
    'Each of them, in turn.',
    'Turns the limit off.',
    'Decrypts in place.',
    'JSON Schema draft 2020-12.',
    'The word under the cursor.',
    'The process shuts down.',
  ])('finds none in: %s', (text) => {
    expect(findStruck(text)).toEqual([]);
  });

  test('splits identifiers into words', () => {
    expect(['placeholder', 'replaced', 'searchWords', 'askSecret', 'is_gone'].map(findStruckName)).toEqual([
      undefined,
      undefined,
      undefined,
      'ask',
      'gone',
    ]);
  });
});

test('the root of the repository has no file with a struck word in its name', () => {
  expect(readdirSync(ROOT).filter((name) => findStruckName(name) !== undefined)).toEqual([]);
});
