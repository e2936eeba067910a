/** The parsing of JSON-RPC messages from stdio. */
import { expect, test } from 'vitest';
import { readMessage } from '../../src/mcp/json_rpc.ts';

test.each([
  [
    'a name twice',
    '{"jsonrpc":"2.0","id":1,"method":"ping","method":"ping"}',
    'An object has the same name twice.',
  ],
  [
    'the name __proto__',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"__proto__":"v"}}}',
    'An object has the name "__proto__", which is not allowed. Remove it.',
  ],
  [
    'too many levels',
    `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":${'['.repeat(64)}${']'.repeat(64)}}}`,
    'Nested deeper than 64 levels.',
  ],
])('a message with %s is rejected over stdio, as over HTTP', (_what, text, violation) => {
  const message = `The message cannot be read. ${violation}`;
  expect(readMessage(text)).toEqual([{ jsonrpc: '2.0', id: 1, error: { code: -32_600, message } }]);
});
