/** Requests as people copy them out of documentation: sent by curl, with nothing added. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface CurlAnswer {
  readonly status: number;
  readonly text: string;
  /** The parsed body; `undefined` without a body. */
  readonly json: unknown;
}

/** Runs curl with these arguments. */
export async function curl(...args: readonly string[]): Promise<CurlAnswer> {
  const marked = ['--silent', '--show-error', '--write-out', '\n%{http_code}', ...args];
  const { stdout } = await run('curl', marked, { encoding: 'utf8' });
  const end = stdout.lastIndexOf('\n');
  const text = stdout.slice(0, end);
  return { status: Number(stdout.slice(end + 1)), text, json: text === '' ? undefined : JSON.parse(text) };
}

/** Keys in their order, kinds of values, and of lists what their first entry is. */
export function shapeOf(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? '[]' : `[${shapeOf(value[0])}]`;
  if (typeof value !== 'object' || value === null) return value === null ? 'null' : typeof value;
  return `{${Object.entries(value)
    .map(([key, inner]) => `${key}: ${shapeOf(inner)}`)
    .join(', ')}}`;
}
