/** Twenty tasks for a reader who has seen nothing but the list of tools, and how to tell whether a call did the task. */
import type { CallOutput } from '../../../src/contract/use/call.ts';
import type { ReceivedRequest } from '../../kit/upstream/upstream.ts';

export interface Task {
  readonly task: string;
  /** `request`: the one that the service received; undefined if none was sent. */
  readonly isDone: (output: CallOutput, request: ReceivedRequest | undefined) => boolean;
}

type Body = Readonly<Record<string, unknown>>;
const bodyOf = ({ body }: CallOutput) => body as Body;
const succeeded = (output: CallOutput, method: string, request: ReceivedRequest | undefined) =>
  output.ok && request?.method === method;
const queryOf = (request: ReceivedRequest | undefined) =>
  new URL(request?.path ?? '/', 'https://upstream.test').searchParams;

export const TASKS: readonly Task[] = [
  {
    task: 'Find out which GitHub user the stored GitHub token belongs to.',
    isDone: (output, request) => succeeded(output, 'GET', request) && bodyOf(output).login === 'ana',
  },
  {
    task: 'List the open issues of the GitHub repository octo/hello, five per page, and return only number and title of each.',
    isDone: (output, request) =>
      succeeded(output, 'GET', request) &&
      queryOf(request).get('per_page') === '5' &&
      Array.isArray(output.body) &&
      output.body.length === 5 &&
      Object.keys(output.body[0] as Body).length === 2,
  },
  {
    task: 'Open an issue in the GitHub repository octo/hello with the title "Broken link" and the label "bug".',
    isDone: (output, request) =>
      succeeded(output, 'POST', request) &&
      bodyOf(output).title === 'Broken link' &&
      JSON.stringify(bodyOf(output).labels) === '["bug"]',
  },
  {
    task: 'Close issue 7 of the GitHub repository octo/hello.',
    isDone: (output, request) => succeeded(output, 'PATCH', request) && bodyOf(output).state === 'closed',
  },
  {
    task: 'Comment "Fixed" on issue 7 of the GitHub repository octo/hello.',
    isDone: (output, request) => succeeded(output, 'POST', request) && bodyOf(output).body === 'Fixed',
  },
  {
    task: 'Get the second page of the repositories of the GitHub organization octo, ten per page.',
    isDone: (output, request) =>
      succeeded(output, 'GET', request) &&
      queryOf(request).get('page') === '2' &&
      queryOf(request).get('per_page') === '10',
  },
  {
    task: 'Get the README of the GitHub repository octo/hello as raw text, not as base64.',
    isDone: (output, request) =>
      succeeded(output, 'GET', request) && String(output.body).startsWith('# Hello'),
  },
  {
    task: 'Delete the branch "old" of the GitHub repository octo/hello.',
    isDone: (output, request) => succeeded(output, 'DELETE', request) && output.status === 204,
  },
  {
    task: 'Without sending anything, check what deleting the GitHub repository octo/hello would send and whether it is allowed.',
    isDone: (output, request) =>
      request === undefined &&
      output.dry_run?.method === 'DELETE' &&
      output.dry_run.url.endsWith('/repos/octo/hello'),
  },
  {
    task: 'Get the balance of the Stripe account.',
    isDone: (output, request) => succeeded(output, 'GET', request) && 'available' in bodyOf(output),
  },
  {
    task: 'Create a Stripe customer with the email address ana@example.com.',
    isDone: (output, request) =>
      succeeded(output, 'POST', request) && bodyOf(output).email === 'ana@example.com',
  },
  {
    task: 'List the three newest Stripe charges.',
    isDone: (output, request) =>
      succeeded(output, 'GET', request) && (bodyOf(output).data as unknown[]).length === 3,
  },
  {
    task: 'Refund 500 cents of the Stripe charge ch_1.',
    isDone: (output, request) => succeeded(output, 'POST', request) && bodyOf(output).amount === 500,
  },
  {
    task: 'Set the metadata entry "plan" of the Stripe customer cus_1 to "pro".',
    isDone: (output, request) =>
      succeeded(output, 'POST', request) && (bodyOf(output).metadata as Body).plan === 'pro',
  },
  {
    task: 'Create a Stripe payment intent over 10 US dollars (1000 cents) such that repeating the call cannot create a second one; use the key "order-77".',
    isDone: (output, request) =>
      succeeded(output, 'POST', request) && bodyOf(output).idempotency_key === 'order-77',
  },
  {
    task: 'Cancel the Stripe subscription sub_1 at once.',
    isDone: (output, request) => succeeded(output, 'DELETE', request) && bodyOf(output).status === 'canceled',
  },
  {
    task: 'Find out the name of the Linear user that the stored key belongs to.',
    isDone: (output, request) =>
      succeeded(output, 'POST', request) && JSON.stringify(output.body).includes('Ana'),
  },
  {
    task: 'List the titles of the first five Linear issues.',
    isDone: (output, request) =>
      succeeded(output, 'POST', request) && JSON.stringify(output.body).includes('First'),
  },
  {
    task: 'Create a Linear issue with the title "Update docs" in the team with the id T1.',
    isDone: (output, request) =>
      succeeded(output, 'POST', request) && JSON.stringify(output.body).includes('Update docs'),
  },
  {
    task: 'List 100 issues of the GitHub repository octo/hello, but return at most 5000 characters now; note the reason "weekly report".',
    isDone: (output, request) =>
      succeeded(output, 'GET', request) &&
      queryOf(request).get('per_page') === '100' &&
      output.truncated !== undefined &&
      JSON.stringify(output.body).length <= 5_000,
  },
];
