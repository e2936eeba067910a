/** How a server goes into the text of a configuration and out again, character by character. */
import fc from 'fast-check';
import { type ParseError, parse } from 'jsonc-parser';
import { describe, expect, test } from 'vitest';
import { removeServer, serverState, setServer } from '../../../src/cli/commands/install/edit_json.ts';

const PLACE = { title: 'Cursor', servers_key: 'mcpServers', name: 'keyhold' };
const ENTRY = { command: 'node', args: ['k.js', 'mcp'] };
/** The entry as it stands with two spaces a step, inside servers that stand inside the root. */
const PRETTY = `"keyhold": {
      "command": "node",
      "args": [
        "k.js",
        "mcp"
      ]
    }`;
const COMPACT = '"keyhold":{"command":"node","args":["k.js","mcp"]}';

function read(text: string): unknown {
  const errors: ParseError[] = [];
  const value: unknown = parse(text, errors, { allowTrailingComma: true, allowEmptyContent: true });
  expect(errors).toEqual([]);
  return value;
}

describe('a text that cannot be edited safely', () => {
  test.each([
    ['a missing comma', '{\n  "a": 1\n  "b": 2\n}', /not valid JSON \(line 3\)/],
    ['a missing brace', '{\n  "mcpServers": {\n', /not valid JSON \(line 3\)/],
    ['two commas', '{"a": 1,,}', /not valid JSON \(line 1\)/],
    ['text after the end', '{}\n{}', /not valid JSON \(line 2\)/],
    ['a list', '\n[]', /not a JSON object \(line 2\)/],
    ['a word', 'null', /not a JSON object \(line 1\)/],
    [
      'servers that are a list',
      '{\n\n"mcpServers": []}',
      /else than an object under "mcpServers" \(line 3\)/,
    ],
    ['servers that are null', '{"mcpServers": null}', /else than an object/],
    ['the servers twice', '{"mcpServers": {},\n"mcpServers": {}}', /same key twice \(line 2\)/],
    ['the server twice', '{"mcpServers": {"keyhold": 1,\n\n"keyhold": 2}}', /same key twice \(line 3\)/],
  ])('is refused with its line: %s', (_, text, message) => {
    for (const work of [
      () => setServer(text, PLACE, ENTRY),
      () => removeServer(text, PLACE),
      () => serverState(text, PLACE, ENTRY),
    ]) {
      expect(work).toThrow(
        expect.objectContaining({ code: 'INVALID_INPUT', message: expect.stringMatching(message) }),
      );
    }
  });

  test('is not quoted in the message', () => {
    expect(() => setServer('{"token": "sk-visible" "b"}', PLACE, ENTRY)).not.toThrow(/sk-visible/);
  });
});

describe('putting a server in', () => {
  test.each([
    ['an empty file', '', `{\n  "mcpServers": {\n    ${PRETTY}\n  }\n}\n`],
    ['blank lines', '\n', `\n{\n  "mcpServers": {\n    ${PRETTY}\n  }\n}\n`],
    ['only a comment', '// mine', `// mine\n{\n  "mcpServers": {\n    ${PRETTY}\n  }\n}\n`],
    ['an empty object', '{}', `{\n  "mcpServers": {\n    ${PRETTY}\n  }\n}`],
    [
      'an object with a comment in it',
      '{ // none\n}\n',
      `{ // none\n  "mcpServers": {\n    ${PRETTY}\n  }\n}\n`,
    ],
    ['empty servers', '{\n  "mcpServers": {}\n}\n', `{\n  "mcpServers": {\n    ${PRETTY}\n  }\n}\n`],
    [
      'no servers yet',
      '{\n  "theme": "dark"\n}\n',
      `{\n  "theme": "dark",\n  "mcpServers": {\n    ${PRETTY}\n  }\n}\n`,
    ],
    [
      'a comment behind the last server, which stays with it',
      '{\n  "mcpServers": {\n    "a": { "x": [1,2] } // about a\n    // the end\n  }\n}\n',
      `{\n  "mcpServers": {\n    "a": { "x": [1,2] }, // about a\n    // the end\n    ${PRETTY}\n  }\n}\n`,
    ],
    [
      'trailing commas, which stay',
      '{\n  "mcpServers": {\n    "a": {}, // about a\n  },\n}\n',
      `{\n  "mcpServers": {\n    "a": {}, // about a\n    ${PRETTY},\n  },\n}\n`,
    ],
    ['one line', '{"z":1,"mcpServers":{"a":{}}}', `{"z":1,"mcpServers":{"a":{},${COMPACT}}}`],
    ['one line without servers', '{"z":1}', `{"z":1,"mcpServers":{${COMPACT}}}`],
    [
      'servers in one line of several',
      '{\n  "mcpServers": { "a": {} }\n}',
      `{\n  "mcpServers": { "a": {}, ${COMPACT} }\n}`,
    ],
    [
      'a key of another depth',
      '{\n  "projects": { "mcpServers": {} }\n}',
      `{\n  "projects": { "mcpServers": {} },\n  "mcpServers": {\n    ${PRETTY}\n  }\n}`,
    ],
  ])('keeps every other character: %s', (_, before, after) => {
    expect(setServer(before, PLACE, ENTRY)).toEqual({ text: after, outcome: 'added' });
    expect(setServer(after, PLACE, ENTRY)).toEqual({ text: after, outcome: 'unchanged' });
  });

  test('takes over tabs and carriage returns', () => {
    const before = '{\r\n\t"mcpServers": {\r\n\t\t"a": {}\r\n\t}\r\n}\r\n';
    const { text } = setServer(before, PLACE, { command: 'node', args: [] });
    expect(text).toBe(
      '{\r\n\t"mcpServers": {\r\n\t\t"a": {},\r\n\t\t"keyhold": {\r\n\t\t\t"command": "node",\r\n\t\t\t"args": []\r\n\t\t}\r\n\t}\r\n}\r\n',
    );
  });

  test('takes an entry whose keys are in another order for the same', () => {
    const text = '{"mcpServers":{"keyhold":{"args":["k.js","mcp"],"command":"node"}}}';
    expect(setServer(text, PLACE, ENTRY)).toEqual({ text, outcome: 'unchanged' });
  });

  test('replaces an entry with more or other keys, and nothing around it', () => {
    const before = '{\n  "mcpServers": {\n    "keyhold": {"url": "x"}, // mine\n    "b": {}\n  }\n}';
    const after = `{\n  "mcpServers": {\n    ${PRETTY}, // mine\n    "b": {}\n  }\n}`;
    expect(setServer(before, PLACE, ENTRY)).toEqual({ text: after, outcome: 'replaced' });
  });

  test('is not misled by a server with the name of an object method', () => {
    const place = { ...PLACE, name: 'constructor' };
    expect(serverState('{"mcpServers":{}}', place, ENTRY)).toBe('absent');
    expect(setServer('{"mcpServers":{}}', place, ENTRY).outcome).toBe('added');
  });
});

describe('taking a server out', () => {
  test('changes nothing where it is not', () => {
    for (const text of ['', '{}', '{"mcpServers":{"keyhold2":{}}}', '// nothing']) {
      expect(removeServer(text, PLACE)).toEqual({ text, outcome: 'unchanged' });
    }
  });

  test.each([
    [
      'the last, between comments',
      '{\n  "mcpServers": {\n    "a": 1, // about a\n    // above\n    "keyhold": 2 // on it\n  }\n}\n',
      '{\n  "mcpServers": {\n    "a": 1 // about a\n    // above\n    // on it\n  }\n}\n',
    ],
    [
      'the first',
      '{\n  "mcpServers": {\n    // above\n    "keyhold": {\n      "x": 1\n    },\n    "b": 2\n  }\n}\n',
      '{\n  "mcpServers": {\n    // above\n    "b": 2\n  }\n}\n',
    ],
    ['the only one, with a trailing comma', '{"mcpServers": {"keyhold":1,}}', '{"mcpServers": {}}'],
    ['the only one', '{\n  "mcpServers": {\n    "keyhold": {}\n  }\n}', '{\n  "mcpServers": {}\n}'],
    ['one of a line', '{"mcpServers":{"a":1,"keyhold":2,"b":3}}', '{"mcpServers":{"a":1,"b":3}}'],
    [
      'one of lines that begin with their comma',
      '{"mcpServers":{\n  "a": 1\n, "keyhold": 2\n, "b": 3\n}}',
      '{"mcpServers":{\n  "a": 1\n, "b": 3\n}}',
    ],
    [
      'one with a comment before its comma',
      '{"mcpServers":{"a":1, "keyhold": 2 /* two */, "b": 3}}',
      '{"mcpServers":{"a":1, /* two */ "b": 3}}',
    ],
  ])('leaves comments and neighbours: %s', (_, before, after) => {
    expect(removeServer(before, PLACE)).toEqual({ text: after, outcome: 'removed' });
  });

  test.each([
    ['{\n  "mcpServers": {\n    "a": {} // a\n  }\n}\n'],
    ['{\r\n\t"mcpServers": {\r\n\t\t"a": {}, // a\r\n\t},\r\n}'],
    ['{"mcpServers":{"a":{}}}'],
    ['{"mcpServers":{"a":{},}}'],
    ['{ "mcpServers": { "a": {} } }'],
    ['{\n  "mcpServers": {}\n}\n'],
  ])('after putting it in gives back the text as it was: %j', (text) => {
    expect(removeServer(setServer(text, PLACE, ENTRY).text, PLACE).text).toBe(text);
  });
});

/** Objects as people write them: any of these between any two parts, some properties, a trailing comma or none. */
const blank = fc.constantFrom('', ' ', '\n', '\r\n  ', '\t', ' /* , } */ ', ' // "x": {\n', '\n  // y\n\n');
const leaf = fc.constantFrom('1', '"}"', 'null', '[1, // z\n 2]', '{ "q": {"keyhold": 1,} }');

function object(keys: readonly string[], value: (key: string) => fc.Arbitrary<string>): fc.Arbitrary<string> {
  const property = (key: string) =>
    fc
      .tuple(blank, blank, blank, value(key), blank)
      .map(([a, b, c, v, d]) => `${a}"${key}"${b}:${c}${v}${d}`);
  return fc
    .tuple(fc.shuffledSubarray([...keys]), fc.boolean(), blank)
    .chain(([chosen, trailing, end]) =>
      fc
        .tuple(...chosen.map(property))
        .map((parts) => `{${parts.join(',')}${trailing && parts.length > 0 ? ',' : ''}${end}}`),
    );
}

const servers = object(['a', 'keyhold', 'b'], () => leaf);
const document = fc
  .tuple(
    blank,
    object(['t', 'mcpServers', 'u'], (key) => (key === 'mcpServers' ? servers : leaf)),
    blank,
  )
  .map(([before, root, after]) => before + root + after);
const comments = (text: string) => (text.match(/\/\/ "x": \{|\/\/ y|\/\* , \} \*\//g) ?? []).length;

describe('any document', () => {
  const runs = { numRuns: process.env.SLOW ? 20_000 : 500 };

  test('holds what it held, and the server, after putting it in', () => {
    fc.assert(
      fc.property(document, (text) => {
        const before = read(text) as { mcpServers?: object };
        const edited = setServer(text, PLACE, ENTRY);
        expect(read(edited.text)).toEqual({
          ...before,
          mcpServers: { ...before.mcpServers, keyhold: ENTRY },
        });
        expect(serverState(edited.text, PLACE, ENTRY)).toBe('same');
        expect(comments(edited.text)).toBe(comments(text));
        expect(setServer(edited.text, PLACE, ENTRY)).toEqual({ text: edited.text, outcome: 'unchanged' });
      }),
      runs,
    );
  });

  test('holds what it held, without the server, after taking it out', () => {
    fc.assert(
      fc.property(document, (text) => {
        const before = read(text) as { mcpServers?: Record<string, unknown> };
        const edited = removeServer(text, PLACE);
        const { keyhold, ...others } = before.mcpServers ?? {};
        expect(edited.outcome).toBe(keyhold === undefined ? 'unchanged' : 'removed');
        expect(read(edited.text)).toEqual(
          before.mcpServers === undefined ? before : { ...before, mcpServers: others },
        );
        // Inside the colon's two sides a comment belongs to the property and goes with it.
        expect(serverState(edited.text, PLACE, ENTRY)).toBe('absent');
      }),
      runs,
    );
  });
});
