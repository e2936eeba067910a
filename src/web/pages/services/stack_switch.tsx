/** The stack whose services a page shows: in the query as `stack`, and a menu of the others. */
import type { FC } from 'hono/jsx';
import { DEFAULT_STACK } from '../../../contract/caller.ts';
import { ORGANIZATION_OWNER, type StackName } from '../../../contract/stack.ts';

/** A path with `stack` in its query, unless it is the default one. */
export function withStack(path: string, stack_id: string): string {
  return stack_id === DEFAULT_STACK ? path : `${path}?${new URLSearchParams({ stack: stack_id })}`;
}

export function servicesPath(stack_id: string): string {
  return withStack('/dashboard', stack_id);
}

export function toolPath(service_id: string, stack_id = DEFAULT_STACK): string {
  return withStack(`/dashboard/tools/${encodeURIComponent(service_id)}`, stack_id);
}

/** Nothing if there is only one stack. */
export const StackSwitch: FC<{ readonly stacks: readonly StackName[]; readonly stack_id: string }> = ({
  stacks,
  stack_id,
}) => {
  if (stacks.length < 2) return null;
  const shown = stacks.find((stack) => stack.stack_id === stack_id);
  return (
    <details class="popup">
      <summary>
        <span class="muted">Stack</span> <span class="popup-name">{shown?.stack_name ?? stack_id}</span>
      </summary>
      <ul class="menu">
        {stacks.map((stack) => (
          <li>
            <a
              class="menu-item"
              href={servicesPath(stack.stack_id)}
              aria-current={stack.stack_id === stack_id ? 'true' : undefined}
            >
              {stack.stack_name}
              {stack.owner !== null && <span class="muted small"> of {ownerName(stack.owner)}</span>}
            </a>
          </li>
        ))}
        <li class="menu-separator">
          <a class="menu-item" href="/dashboard/stacks">
            Manage stacks
          </a>
        </li>
      </ul>
    </details>
  );
};

/** The name of the stack, and its owner if it is not the person. */
export function stackLabel({ stack_name, owner }: StackName): string {
  return owner === null ? stack_name : `${stack_name} of ${ownerName(owner)}`;
}

function ownerName(owner: string): string {
  return owner === ORGANIZATION_OWNER ? 'the organization' : owner;
}
