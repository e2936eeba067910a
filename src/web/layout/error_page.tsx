/** The page that reports an error: what happened, what to do next, and the request id for the operator. */
import type { Child, FC } from 'hono/jsx';
import type { PublicError } from '../../contract/errors.ts';
import type { View } from '../page.ts';
import { ButtonLink } from './components.tsx';

const TITLES: Partial<Record<PublicError['code'], string>> = {
  NOT_FOUND: 'Not found',
  FORBIDDEN: 'Not allowed',
  UNAUTHENTICATED: 'Not signed in',
  RATE_LIMITED: 'Too many requests',
  CONFLICT: 'It has changed',
  INVALID_INPUT: 'This cannot be used',
  INTERNAL: 'Something went wrong',
};

export function errorTitle({ code }: PublicError): string {
  return TITLES[code] ?? 'Something went wrong';
}

export function errorContent(error: PublicError, { sections }: View): Child {
  return <ErrorPage error={error} has_services={sections.includes('services')} />;
}

const ErrorPage: FC<{ readonly error: PublicError; readonly has_services: boolean }> = ({
  error,
  has_services,
}) => (
  <div class="outcome">
    <h1>{errorTitle(error)}</h1>
    <p>{error.message}</p>
    <p class="muted small">
      Request <code>{error.request_id}</code>
    </p>
    {has_services && <ButtonLink href="/dashboard">Go to services</ButtonLink>}
  </div>
);
