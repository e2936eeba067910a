/** The next step after a response that is not a success, and whether the same call may succeed later. */
import type { CallOutput } from '../../../contract/use/call.ts';

export type Advice = Pick<CallOutput, 'hint' | 'retry' | 'retry_after'>;

export interface ResponseFacts {
  /** The service refused a value that an earlier run of a command printed; the command runs again. */
  readonly is_stale: boolean;
  /** The service refused an access token that has been replaced since. */
  readonly is_token_replaced?: boolean;
  /** The header Retry-After (RFC 9110, section 10.2.3). */
  readonly retry_after: string | undefined;
}

const RETRY_AFTER_MAX_S = 7 * 24 * 60 * 60;

/** `{}` for a success. `slug`: the service. */
export function adviceForStatus(status: number, slug: string, facts: ResponseFacts): Advice {
  if (status < 300) return {};
  if (status < 400)
    return {
      hint: 'A redirect is not followed, since it could lead the credential to another host. If location is on a host of the service, call its URL.',
    };
  if (status === 401 && facts.is_token_replaced === true) return TOKEN_REPLACED;
  if (status === 401) return facts.is_stale ? STALE : refused(slug);
  if (status === 408 || status === 425)
    return { hint: 'The service did not accept the request now. Repeat the same call.', retry: true };
  if (status === 429) {
    const seconds = secondsOf(facts.retry_after);
    const when = seconds === undefined ? 'Wait a minute' : `Wait ${seconds} seconds`;
    return { hint: `The service limits requests. ${when}, then repeat the same call.`, ...later(seconds) };
  }
  if (status >= 500 && status !== 501)
    return {
      hint: 'The service failed. Try again later; before you repeat a write, check whether it was made.',
      ...later(secondsOf(facts.retry_after)),
    };
  return {
    hint: HINTS.get(status) ?? 'The service rejected the request. The body has the reason.',
    retry: false,
  };
}

const STALE: Advice = {
  hint: 'The service refused the credential. Its value came from an earlier run of its command; repeat the same call, which runs the command again.',
  retry: true,
};

const TOKEN_REPLACED: Advice = {
  hint: 'The service refused the access token, which was refreshed now. Repeat the same call.',
  retry: true,
};

function refused(slug: string): Advice {
  return {
    hint: `The service refused the credential, which is now marked as rejected. Do not retry. The user can replace it with \`keyhold update ${slug}\`; you can, with update_credentials.`,
    retry: false,
  };
}

function later(seconds: number | undefined): Advice {
  return { retry: true, ...(seconds === undefined ? {} : { retry_after: seconds }) };
}

/** Seconds, or a date. */
function secondsOf(retry_after: string | undefined): number | undefined {
  const text = retry_after?.trim() ?? '';
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : Math.ceil((Date.parse(text) - Date.now()) / 1000);
  return Number.isNaN(seconds) || seconds > RETRY_AFTER_MAX_S ? undefined : Math.max(0, seconds);
}

const HINTS: ReadonlyMap<number, string> = new Map([
  [
    403,
    'The credential is valid but does not allow this. Tell the user which permission the body names; do not retry.',
  ],
  [
    404,
    'Not found, or not visible with this credential. Check the path and its ids against the documentation of the service.',
  ],
  [405, 'The path does not take this method. Check the documentation of the service.'],
  [409, 'The request conflicts with the present state. Read the resource, then decide.'],
  [413, 'The body is too large for the service. Send a smaller one.'],
  [415, 'The service expects another content-type. Set it in headers.'],
  [422, 'The service rejected values of the request. The body names them; correct them and call again.'],
  [501, 'The service does not have this operation. Check its documentation.'],
]);
