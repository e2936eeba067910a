/** The states of credentials as badges. */
import type { FC } from 'hono/jsx';
import type { CredentialState } from '../../contract/credential.ts';
import { Badge } from './components.tsx';

const STATES: Readonly<
  Record<CredentialState, { readonly label: string; readonly tone: 'good' | 'warning' | 'bad' | 'neutral' }>
> = {
  active: { label: 'Connected', tone: 'good' },
  incomplete: { label: 'Incomplete', tone: 'warning' },
  missing: { label: 'Not connected', tone: 'neutral' },
  inactive: { label: 'Switched off', tone: 'neutral' },
  expired: { label: 'Expired', tone: 'bad' },
  needs_review: { label: 'Needs review', tone: 'warning' },
  needs_reconnect: { label: 'Connect again', tone: 'bad' },
  rejected: { label: 'Rejected', tone: 'bad' },
};

export const CredentialStateBadge: FC<{ readonly state: CredentialState }> = ({ state }) => (
  <Badge tone={STATES[state].tone}>{STATES[state].label}</Badge>
);
