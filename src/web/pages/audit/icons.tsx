/** An icon for each group of actions, for entries that have no service. Decoration: the sentence names the action. */
import type { FC } from 'hono/jsx';
import type { ActionGroup } from './actions.tsx';

const KEY = 'M10.25 8.75a3 3 0 1 0-2.6-1.5L2.75 12.1v1.15h2.5v-1.5h1.5v-1.5l1.3-1.3c.6.5 1.4.8 2.2.8Z';
const PERSON =
  'M8 8a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Zm-4.75 5.25c.5-2.2 2.4-3.5 4.75-3.5s4.25 1.3 4.75 3.5';
const LAYERS = 'm8 2.75 5.5 3L8 8.75l-5.5-3zM2.5 8.5 8 11.5l5.5-3M2.5 11 8 14l5.5-3';
const LOG = 'M3 4h10M3 8h10M3 12h6';
const LOCK = 'M4 7.5h8v5.75H4zM5.5 7.5V5.25a2.5 2.5 0 0 1 5 0V7.5';
const CHECK = 'm3 8.5 3.25 3.25L13 5';

const PATHS: Readonly<Record<ActionGroup, string>> = {
  Uses: LOCK,
  Credentials: LOCK,
  Approvals: CHECK,
  Services: CHECK,
  Stacks: LAYERS,
  'API keys': KEY,
  People: PERSON,
  Log: LOG,
};

export const GroupIcon: FC<{ readonly group: ActionGroup }> = ({ group }) => (
  <span class="logo entry-icon" aria-hidden="true">
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      <path d={PATHS[group]} />
    </svg>
  </span>
);
