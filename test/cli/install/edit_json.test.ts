/** Adding a server to the text of a client's configuration and removing it, compared character by character. */
import fc from 'fast-check';
import { type ParseError, parse } from 'jsonc-parser';
import { describe, expect, test } from 'vitest';
import { removeServer, serverState, setServer } from '../../../src/cli/commands/install/edit_json.ts';
import { runSize } from '../../kit/run_size.ts';

const LOCATION = { title: 'Cursor', servers_key: 'mcpServers', name: 'keyhold' };
const ENTRY = { command: 'node', args: ['k.js', 'mcp'] };
/** The entry with an indentation of two spaces, two levels deep. */
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

describe('setServer, removeServer and serverState', () => {
  test.each([
    ['a missing comma', '{\n  "a": 1\n  "b": 2\n}', /not valid JSON \(line 3\)/],
    ['a missing brace', '{\n  "mcpServers": {\n', /not valid JSON \(line 3\)/],
    ['two commas in a row', '{"a": 1,,}', /not valid JSON \(line 1\)/],
    ['text after the end', '{}\n{}', /not valid JSON \(line 2\)/],
    ['a list', '\n[]', /not a JSON object \(line 2\)/],
    ['null', 'null', /not a JSON object \(line 1\)/],
    ['servers that are a list', '{\n\n"mcpServers": []}', /no object under "mcpServers" \(line 3\)/],
    ['servers that are null', '{"mcpServers": null}', /no object under/],
    ['the servers twice', '{"mcpServers": {},\n"mcpServers": {}}', /same key twice \(line 2\)/],
    ['the server twice', '{"mcpServers": {"keyhold": 1,\n\n"keyhold": 2}}', /same key twice \(line 3\)/],
  ])(
    'setServer, removeServer and serverState throw INVALID_INPUT with the line for %s',
    (_, text, message) => {
      for (const work of [
        () => setServer(text, LOCATION, ENTRY),
        () => removeServer(text, LOCATION),
        () => serverState(text, LOCATION, ENTRY),
      ]) {
        expect(work).toThrow(
          expect.objectContaining({ code: 'INVALID_INPUT', message: expect.stringMatching(message) }),
        );
      }
    },
  );

  test('setServer does not quote the text in its error message', () => {
    expect(() => setServer('{"token": "sk-visible" "b"}', LOCATION, ENTRY)).not.toThrow(/sk-visible/);
  });
});

describe('setServer', () => {
  test.each([
    ['no characters', '', `{\n  "mcpServers": {\n    ${PRETTY}\n  }\n}\n`],
    ['only blank lines', '\n', `\n{\n  "mcpServers": {\n    ${PRETTY}\n  }\n}\n`],
    ['only a comment', '// mine', `// mine\n{\n  "mcpServers": {\n    ${PRETTY}\n  }\n}\n`],
    ['an empty object', '{}', `{\n  "mcpServers": {\n    ${PRETTY}\n  }\n}`],
    [
      'an object that holds a comment',
      '{ // none\n}\n',
      `{\n  "mcpServers": {\n    ${PRETTY}\n  } // none\n}\n`,
    ],
    ['empty servers', '{\n  "mcpServers": {}\n}\n', `{\n  "mcpServers": {\n    ${PRETTY}\n  }\n}\n`],
    [
      'no servers yet',
      '{\n  "theme": "dark"\n}\n',
      `{\n  "mcpServers": {\n    ${PRETTY}\n  },\n  "theme": "dark"\n}\n`,
    ],
    [
      'comments about the servers before and after it',
      '{\n  "mcpServers": {\n    // above\n    "a": { "x": [1,2] } // about a\n    // the end\n  }\n}\n',
      `{\n  "mcpServers": {\n    ${PRETTY},\n    // above\n    "a": { "x": [1,2] } // about a\n    // the end\n  }\n}\n`,
    ],
    [
      'trailing commas',
      '{\n  "mcpServers": {\n    "a": {}, // about a\n  },\n}\n',
      `{\n  "mcpServers": {\n    ${PRETTY},\n    "a": {}, // about a\n  },\n}\n`,
    ],
    ['one line', '{"z":1,"mcpServers":{"a":{}}}', `{"z":1,"mcpServers":{${COMPACT},"a":{}}}`],
    ['one line without servers', '{"z":1}', `{"mcpServers":{${COMPACT}},"z":1}`],
    [
      'servers in one line of several',
      '{\n  "mcpServers": { "a": {} }\n}',
      `{\n  "mcpServers": { ${COMPACT}, "a": {} }\n}`,
    ],
    [
      'the same key at another depth',
      '{\n  "projects": { "mcpServers": {} }\n}',
      `{\n  "mcpServers": {\n    ${PRETTY}\n  },\n  "projects": { "mcpServers": {} }\n}`,
    ],
  ])('setServer adds the server and keeps every other character of a text with %s', (_, before, after) => {
    expect(setServer(before, LOCATION, ENTRY)).toEqual({ text: after, outcome: 'added' });
    expect(setServer(after, LOCATION, ENTRY)).toEqual({ text: after, outcome: 'unchanged' });
  });

  test('setServer indents with tabs and ends lines with CRLF if the text does', () => {
    const before = '{\r\n\t"mcpServers": {\r\n\t\t"a": {}\r\n\t}\r\n}\r\n';
    const { text } = setServer(before, LOCATION, { command: 'node', args: [] });
    expect(text).toBe(
      '{\r\n\t"mcpServers": {\r\n\t\t"keyhold": {\r\n\t\t\t"command": "node",\r\n\t\t\t"args": []\r\n\t\t},\r\n\t\t"a": {}\r\n\t}\r\n}\r\n',
    );
  });

  test('setServer leaves an entry with the same keys in another order unchanged', () => {
    const text = '{"mcpServers":{"keyhold":{"args":["k.js","mcp"],"command":"node"}}}';
    expect(setServer(text, LOCATION, ENTRY)).toEqual({ text, outcome: 'unchanged' });
  });

  test('setServer replaces an entry with other keys, and nothing around it', () => {
    const before = '{\n  "mcpServers": {\n    "keyhold": {"url": "x"}, // mine\n    "b": {}\n  }\n}';
    const after = `{\n  "mcpServers": {\n    ${PRETTY}, // mine\n    "b": {}\n  }\n}`;
    expect(setServer(before, LOCATION, ENTRY)).toEqual({ text: after, outcome: 'replaced' });
  });

  test('setServer adds a server that is named like an object method', () => {
    const location = { ...LOCATION, name: 'constructor' };
    expect(serverState('{"mcpServers":{}}', location, ENTRY)).toBe('absent');
    expect(setServer('{"mcpServers":{}}', location, ENTRY).outcome).toBe('added');
  });
});

describe('removeServer', () => {
  test('removeServer changes nothing if the server is not in the text', () => {
    for (const text of ['', '{}', '{"mcpServers":{"keyhold2":{}}}', '// nothing']) {
      expect(removeServer(text, LOCATION)).toEqual({ text, outcome: 'unchanged' });
    }
  });

  test.each([
    [
      'the last server, between comments',
      '{\n  "mcpServers": {\n    "a": 1, // about a\n    // above\n    "keyhold": 2 // on it\n  }\n}\n',
      '{\n  "mcpServers": {\n    "a": 1 // about a\n    // above\n // on it\n  }\n}\n',
    ],
    [
      'the first server',
      '{\n  "mcpServers": {\n    // above\n    "keyhold": {\n      "x": 1\n    },\n    "b": 2\n  }\n}\n',
      '{\n  "mcpServers": {\n    // above\n    "b": 2\n  }\n}\n',
    ],
    ['the only server, with a trailing comma', '{"mcpServers": {"keyhold":1,}}', '{"mcpServers": {}}'],
    ['the only server', '{\n  "mcpServers": {\n    "keyhold": {}\n  }\n}', '{\n  "mcpServers": {}\n}'],
    ['one server of a line', '{"mcpServers":{"a":1,"keyhold":2,"b":3}}', '{"mcpServers":{"a":1,"b":3}}'],
    [
      'a server whose line begins with its comma',
      '{"mcpServers":{\n  "a": 1\n, "keyhold": 2\n, "b": 3\n}}',
      '{"mcpServers":{\n  "a": 1\n, "b": 3\n}}',
    ],
    [
      'a server with a comment before its comma',
      '{"mcpServers":{"a":1, "keyhold": 2 /* two */, "b": 3}}',
      '{"mcpServers":{"a":1, /* two */ "b": 3}}',
    ],
  ])('removeServer keeps comments and neighbours when it removes %s', (_, before, after) => {
    expect(removeServer(before, LOCATION)).toEqual({ text: after, outcome: 'removed' });
  });

  test.each([
    ['{\n  "mcpServers": {\n    "a": {} // a\n  }\n}\n'],
    ['{\r\n\t"mcpServers": {\r\n\t\t"a": {}, // a\r\n\t},\r\n}'],
    ['{"mcpServers":{"a":{}}}'],
    ['{"mcpServers":{"a":{},}}'],
    ['{ "mcpServers": { "a": {} } }'],
    ['{\n  "mcpServers": {}\n}\n'],
  ])('removeServer after setServer restores the text exactly: %j', (text) => {
    expect(removeServer(setServer(text, LOCATION, ENTRY).text, LOCATION).text).toBe(text);
  });
});

/** Objects with any of these between two tokens, some of the properties, and a trailing comma or none. */
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

describe('generated documents', () => {
  const runs = { numRuns: runSize({ quick: 200, ci: 500, slow: 20_000 }) };

  test('setServer keeps all other content and all comments of any document', () => {
    fc.assert(
      fc.property(document, (text) => {
        const before = read(text) as { mcpServers?: object };
        const edited = setServer(text, LOCATION, ENTRY);
        expect(read(edited.text)).toEqual({
          ...before,
          mcpServers: { ...before.mcpServers, keyhold: ENTRY },
        });
        expect(serverState(edited.text, LOCATION, ENTRY)).toBe('same');
        expect(comments(edited.text)).toBe(comments(text));
        expect(setServer(edited.text, LOCATION, ENTRY)).toEqual({ text: edited.text, outcome: 'unchanged' });
      }),
      runs,
    );
  });

  test('removeServer keeps all other content of any document', () => {
    fc.assert(
      fc.property(document, (text) => {
        const before = read(text) as { mcpServers?: Record<string, unknown> };
        const edited = removeServer(text, LOCATION);
        const { keyhold, ...others } = before.mcpServers ?? {};
        expect(edited.outcome).toBe(keyhold === undefined ? 'unchanged' : 'removed');
        expect(read(edited.text)).toEqual(
          before.mcpServers === undefined ? before : { ...before, mcpServers: others },
        );
        // A comment inside the property, beside its colon, is removed with it, so comments are not counted here.
        expect(serverState(edited.text, LOCATION, ENTRY)).toBe('absent');
      }),
      runs,
    );
  });
});
