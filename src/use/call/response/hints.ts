/** The next step after a response that is not a success, and whether the same call may succeed later. */
import type { CallOutput } from '../../../contract/call.ts';

type Hint = Pick<CallOutput, 'hint' | 'retry'>;

/** `{}` for a success. `slug`: the service. */
export function hintFor(status: number, slug: string): Hint {
  if (status >= 300 && status < 400)
    return {
      hint: 'A redirect is not followed, since it could lead the credential to another host. If location is on a host of the service, call its URL.',
    };
  if (status < 400) return {};
  if (status === 401)
    return {
      hint: `The service refused the credential, which is now marked as rejected. Do not retry. The user can replace it with \`keyhold update ${slug}\`; you can, with update_credentials.`,
      retry: false,
    };
  if (status === 429)
    return {
      hint: 'The service limits requests. Wait for the time in retry-after, then call again.',
      retry: true,
    };
  if (status >= 500)
    return {
      hint: 'The service failed. Try again later; before you repeat a write, check whether it was made.',
      retry: true,
    };
  return {
    hint: HINTS.get(status) ?? 'The service rejected the request. The body has the reason.',
    retry: false,
  };
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
  [415, 'The service expects another content-type. Set it in headers.'],
  [422, 'The service rejected values of the request. The body names them; correct them and call again.'],
]);
