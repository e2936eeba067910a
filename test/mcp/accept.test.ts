/** The response of the SDK in the media type that the client accepts. */
import { expect, test } from 'vitest';
import { convertToAcceptedType } from '../../src/mcp/accept.ts';

test('a stream whose message holds line separators of Unicode becomes the whole message in JSON', async () => {
  const message = { jsonrpc: '2.0', id: 1, result: { text: 'a\u2028b\u2029c\u0085d' } };
  const stream = new Response(`event: message\ndata: ${JSON.stringify(message)}\n\n`, {
    headers: { 'content-type': 'text/event-stream' },
  });
  const response = await convertToAcceptedType(stream, { json: true, event_stream: false });
  expect(await response.json()).toEqual(message);
});
