/** Rules about language: the words of language.ts in file names, identifiers, comments, messages and test titles. */
import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ROOT, readSources } from '../kit/source_tree.ts';
import { checkLanguage, findStruck, findStruckName, type Match } from './language.ts';

/** The present maximum. It only goes down; the goal is 3 % of the comment lines and none of the others. */
const MAX = { comment_lines_percent: 3, exports: 5, identifiers: 176, messages: 25, titles: 176 };
/** Generated, or about the words themselves. */
const EXCEPTIONS = ['test/architecture/language.ts', 'test/architecture/language.test.ts'];

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

function expectAtMost(max: number, matches: readonly string[]): void {
  expect(matches.length, matches.join('\n')).toBeLessThanOrEqual(max);
}

describe('the language of the source', () => {
  test('no file or folder name contains a struck word', () => {
    expect(matchesOf('file')).toEqual([]);
  });

  test(`at most ${MAX.exports} exported identifiers contain a struck word`, () => {
    expectAtMost(MAX.exports, matchesOf('export'));
  });

  test(`at most ${MAX.identifiers} other identifiers contain a struck word`, () => {
    expectAtMost(MAX.identifiers, matchesOf('identifier'));
  });

  test(`at most ${MAX.comment_lines_percent} % of the comment lines contain a struck phrase`, () => {
    const lines = reports.reduce((sum, { comment_lines }) => sum + comment_lines, 0);
    const matching = reports.reduce((sum, { matching_comment_lines }) => sum + matching_comment_lines, 0);
    const percent = (100 * matching) / lines;
    expect(percent, matchesOf('comment').join('\n')).toBeLessThanOrEqual(MAX.comment_lines_percent);
  });

  test(`at most ${MAX.messages} struck phrases are in log messages, error messages and command line texts`, () => {
    expectAtMost(MAX.messages, matchesOf('message'));
  });

  test(`at most ${MAX.titles} struck phrases are in test titles`, () => {
    expectAtMost(MAX.titles, matchesOf('title'));
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
