/** Rules about README.md and docs/: links, paths, scripts, commands and settings that exist, and a complete concepts page. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { allCommands } from '../../src/cli/all_commands.ts';
import type { ProgramContext } from '../../src/cli/context.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { ERROR_TABLE } from '../../src/contract/errors.ts';
import { TEST_REASONS } from '../../src/contract/use/test_result.ts';
import { TOOLS } from '../../tools/catalogue.ts';
import { PROGRAM } from '../kit/child/built_program.ts';
import { ROOT, readSources } from '../kit/source_tree.ts';
import { findStruck } from './language.ts';
import { scanSource } from './scan_source.ts';

const PAGES = [
  'README.md',
  'CHANGELOG.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];
const README_LINES_MAX = 150;
const SOURCE_PATH = /\b(?:src|tools)\/[\w/]+\.tsx?/;

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

describe('the documentation', () => {
  test.each(PAGES)('every relative link in %s leads to a file and to a heading in it', (page) => {
    const broken = [...read(page).matchAll(/\]\((?!https?:|mailto:)([^)\s]+)\)/g)]
      .map(([, target = '']) => target)
      .filter((target) => {
        const [file = '', heading] = target.split('#');
        const path = file === '' ? page : join(dirname(page), file);
        if (!existsSync(join(ROOT, path))) return true;
        return heading !== undefined && !headingsOf(read(path)).includes(heading);
      });
    expect(broken).toEqual([]);
  });

  test.each(PAGES)('every path of the repository that %s names exists', (page) => {
    const named = read(page).match(/\b(?:(?:src|test|docs)\/[\w./-]*\w|tools\/\w+\.ts)/g) ?? [];
    expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  test.each(PAGES)('%s contains no struck phrase outside of code', (page) => {
    const prose = read(page).replaceAll(/```[\s\S]*?```|`[^`\n]*`/g, (code) =>
      code.replaceAll(/[^\n]/g, '_'),
    );
    expect(findStruck(prose).map(({ found, instead }) => `${found}: ${instead}`)).toEqual([]);
  });

  test(`README.md has at most ${README_LINES_MAX} lines`, () => {
    expect(read('README.md').trimEnd().split('\n').length).toBeLessThanOrEqual(README_LINES_MAX);
  });

  test('every npm script that a page names is in package.json', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const named = PAGES.flatMap((page) =>
      [...read(page).matchAll(/npm run ([\w:]+)/g)].map(([, name]) => name),
    );
    expect(named.filter((name) => name === undefined || !(name in scripts))).toEqual([]);
  });

  test('README.md lists every MCP tool', () => {
    const listed = [...read('README.md').matchAll(/^\| `(\w+)` +\|/gm)].map(([, name]) => name);
    expect(listed.sort()).toEqual(TOOLS.map(({ name }) => name).sort());
  });

  test('docs/operations.md lists every setting, and the pages name no others', () => {
    const settings = /\bKEYHOLD_[A-Z_]+\b/g;
    const parsed = [...readSources('src/settings').values()].flatMap(
      ({ text }) => text.match(settings) ?? [],
    );
    const page = read('docs/operations.md');
    expect([...new Set(parsed)].filter((name) => !page.includes(name))).toEqual([]);
    const used = new Set([...readSources('src').values()].flatMap(({ text }) => text.match(settings) ?? []));
    const named = PAGES.flatMap((one) => read(one).match(settings) ?? []);
    expect(named.filter((name) => !used.has(name))).toEqual([]);
  });

  test('docs/cli.md lists every command', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, '--help']);
    const [, list = ''] = /^Commands:\n(.*?)\n\n/ms.exec(stdout) ?? [];
    const commands = [...list.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name);
    expect(commands.length).toBeGreaterThan(10);
    expect(commands.filter((name) => !read('docs/cli.md').includes(`| \`keyhold ${name}`))).toEqual([]);
  });

  test('docs/cli.md lists the commands that take --url, those that work on this machine only, and those without --json', () => {
    const [, remote = '', local = ''] =
      /these commands use the vault of that server: (.*?)\. The API key.*?on this machine only: (.*?)\.\n/s.exec(
        read('docs/cli.md'),
      ) ?? [];
    const context = { version: '0' } as ProgramContext;
    const commands = leavesOf(buildProgram(context, allCommands(context)));
    const having = (option: string) => (command: Command) =>
      command.options.some(({ long }) => long === option);
    expect(namesIn(remote)).toEqual(commands.filter(having('--url')).map(pathOf).sort());
    const no_server = commands.filter((command) => !having('--url')(command)).map(pathOf);
    expect([...namesIn(local), 'completion'].sort()).toEqual(no_server.sort());
    const [, without_json = ''] = /every one except (.*?) has `--json`/s.exec(read('docs/cli.md')) ?? [];
    const quiet = commands.filter((command) => !having('--json')(command)).map(pathOf);
    expect(namesIn(without_json)).toEqual(quiet.sort());
  });

  test('docs/cli.md lists every exit code of the error table', () => {
    const codes = Object.values(ERROR_TABLE).map(({ exit_code }) => exit_code);
    expect(codes.filter((code) => !read('docs/cli.md').includes(`| ${code} |`))).toEqual([]);
  });

  test('docs/tests.md lists every reason of a test with its result, and no other', () => {
    const rows = read('docs/tests.md').matchAll(/^\| ((?:`\w+`(?:, )?)+) \| `(\w+)` \|/gm);
    const listed = [...rows].flatMap(([, reasons = '', result]) =>
      reasons.split(', ').map((reason) => `${result} ${reason.replaceAll('`', '')}`),
    );
    const defined = Object.entries(TEST_REASONS).flatMap(([result, reasons]) =>
      reasons.map((reason) => `${result} ${reason}`),
    );
    expect(listed.sort()).toEqual(defined.sort());
  });

  test('README.md links to every page in docs/', () => {
    const readme = read('README.md');
    expect(PAGES.filter((page) => page.startsWith('docs/') && !readme.includes(`(${page})`))).toEqual([]);
  });
});

test.each(PAGES)('%s names only functions, types, constants and values of the chart that exist', (page) => {
  const prose = read(page).replaceAll(/```[\s\S]*?```/g, '');
  const named = [...prose.matchAll(/`(?:new )?((?:\w+\.)?\w+)(?:\(\))?`/g)]
    .map(([, name = '']) => name.split('.').at(-1) ?? '')
    .filter((name) => /^[a-z]+[A-Z]\w*$|^[A-Z][a-z]+[A-Z]\w*$|^[A-Z]+_[A-Z_]+$/.test(name));
  const values = ['packaging/helm/keyhold/values.yaml', 'packaging/monitoring/alerts.yaml'].map(read);
  const source = [...readSources('src', 'tools').values()].map(({ text }) => text);
  const words = new Set([...source, ...values].join('\n').match(/\w+/g));
  expect(named.filter((name) => !words.has(name))).toEqual([]);
});

test('README.md and docs/architecture.md name only functions and types that a file in the same row has', () => {
  const rows = ['README.md', 'docs/architecture.md']
    .flatMap((page) => read(page).split('\n'))
    .filter((line) => line.startsWith('|') && SOURCE_PATH.test(line));
  const wrong = rows.flatMap((row) => {
    const text = sourcesIn(row);
    const names = [...row.matchAll(/`(?:\w+\.)?([A-Za-z_]+)`/g)].map(([, name = '']) => name);
    return names.filter((name) => !new RegExp(`\\b${name}\\b`).test(text)).map((name) => `${name} in ${row}`);
  });
  expect(rows.length).toBeGreaterThan(20);
  expect(wrong).toEqual([]);
});

describe('docs/concepts.md', () => {
  const rows = read('docs/concepts.md')
    .split('\n')
    .filter((line) => line.startsWith('|'));
  const classes = [...readSources('src', 'tools').values()].flatMap(({ path, text }) =>
    [...scanSource(text).code.matchAll(/^export (?:abstract )?class (\w+)/gm)].map(([, name = '']) => ({
      name,
      path,
    })),
  );

  test('lists every exported class with its file', () => {
    const missing = classes.filter(
      ({ name, path }) => !rows.some((row) => row.includes(`\`${name}\``) && row.includes(`\`${path}\``)),
    );
    expect(missing).toEqual([]);
  });

  test('defines every term once', () => {
    const terms = rows
      .map((row) => row.split('|')[1]?.trim() ?? '')
      .filter((term) => term !== '' && !term.startsWith('-'));
    expect(terms.filter((term, at) => terms.indexOf(term) !== at && term !== 'term')).toEqual([]);
  });

  test('names only types and functions that the file in the same row has', () => {
    const wrong = rows.flatMap((row) => {
      const text = sourcesIn(row);
      const names = [...row.matchAll(/`([A-Z]\w+)`/g)].map(([, name = '']) => name);
      if (!SOURCE_PATH.test(row)) return [];
      return names
        .filter((name) => !new RegExp(`\\b${name}\\b`).test(text))
        .map((name) => `${name} in ${row}`);
    });
    expect(wrong).toEqual([]);
  });
});

/** The commands without subcommands, except hidden ones. */
function leavesOf(command: Command): Command[] {
  const inner = command
    .createHelp()
    .visibleCommands(command)
    .filter((one) => one.name() !== 'help');
  return inner.length === 0 ? [command] : inner.flatMap(leavesOf);
}

function pathOf(command: Command): string {
  const above = command.parent?.parent ? `${command.parent.name()} ` : '';
  return `${above}${command.name()}`;
}

/** The names in backticks, sorted. */
function namesIn(sentence: string): string[] {
  return [...sentence.matchAll(/`([a-z -]+)`/g)].map(([, name = '']) => name).sort();
}

/** The text of the source files that a table row names. */
function sourcesIn(row: string): string {
  const paths = row.match(new RegExp(SOURCE_PATH, 'g')) ?? [];
  return paths.map((path) => (existsSync(join(ROOT, path)) ? read(path) : '')).join('\n');
}

/** The anchors that GitHub gives to the headings of a page. */
function headingsOf(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}
