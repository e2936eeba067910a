/** Finds out whether the service accepts a stored credential, without showing it. */
import { defineTool } from '../src/contract/tool.ts';
import { TestInput, type TestInput as TestInputType, TestOutput } from '../src/contract/use/test.ts';
import { withConnectPage } from '../src/use/connect_page.ts';
import type { ToolContext } from '../src/use/tool_context.ts';

export const test_credential = defineTool<ToolContext, TestInputType, TestOutput>({
  name: 'test_credential',
  title: 'Test a credential',
  description:
    'Reports whether the service accepts the stored credential: valid, invalid or unknown (not judged), with the next step. Shows no values.',
  input: TestInput,
  output: TestOutput,
  // A test keeps its result, stores a host key, and writes and removes a file over SFTP.
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  handle: async ({ tests, pages }, caller, input) => {
    const structured = await withConnectPage(pages, input, () => tests.test(caller, input));
    return { structured, text: describe(structured) };
  },
});

function describe({ result, message, account, facts, checked, latency_ms, next }: TestOutput): string {
  const known = Object.entries(facts).map(([fact, text]) => `${fact} ${text}`);
  return [
    `${result}: ${message}`,
    ...(account === null ? [] : [`Account: ${account}.`]),
    ...(checked.length === 0 ? [] : [`Checked: ${checked.join(', ')}, in ${latency_ms} ms.`]),
    ...(known.length === 0 ? [] : [`Found: ${known.join('; ')}.`]),
    next,
    result === 'valid'
      ? 'call_service uses it, if the service is used over HTTP.'
      : 'get_credential_status shows its fields.',
  ].join(' ');
}
