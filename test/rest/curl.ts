/** Sends requests with curl, exactly as the documentation of a dialect contains them. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface CurlResponse {
  readonly status: number;
  readonly text: string;
  /** The parsed body; `undefined` without a body. */
  readonly json: unknown;
}

/** Runs curl with these arguments. */
export async function curl(...args: readonly string[]): Promise<CurlResponse> {
  const all_args = ['--silent', '--show-error', '--write-out', '\n%{http_code}', ...args];
  const { stdout } = await run('curl', all_args, { encoding: 'utf8' });
  const end = stdout.lastIndexOf('\n');
  const text = stdout.slice(0, end);
  return { status: Number(stdout.slice(end + 1)), text, json: text === '' ? undefined : JSON.parse(text) };
}

/** The structure of a JSON value: its keys in order, the types of its values, and the first entry of each array. */
export function describeShape(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? '[]' : `[${describeShape(value[0])}]`;
  if (typeof value !== 'object' || value === null) return value === null ? 'null' : typeof value;
  return `{${Object.entries(value)
    .map(([key, inner]) => `${key}: ${describeShape(inner)}`)
    .join(', ')}}`;
}
